"""The token door of DhanHQ: renewal, login with PIN and TOTP, and the login in the browser.

Sources: DhanHQ v2 documentation, authentication page. The SDK's own module for it has no
time-outs, hides errors and writes PIN and code into its log, so its requests are made here, on
our line. Refusals of the token service come as HTTP 200 with ``status`` and ``message``; a renewal
calls the new token ``token`` (both recorded, not documented).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlencode

from apps.brokers import wire
from apps.brokers.dhan.errors import After, Complaint, complaint_in, meaning_of
from apps.brokers.dhan.mapping import minted_from_body
from apps.brokers.dhan.schemas import ConsentBody, read
from apps.brokers.models import WireCall
from apps.brokers.port import (
    BadWire,
    ConsentGiven,
    Consenting,
    Denial,
    Denied,
    Minted,
    Minting,
    NotSent,
    Unknown,
)
from apps.brokers.storable import clean_text, without_secrets
from apps.brokers.wire import Reply

# Recorded messages: "Token can be generated once every 2 minutes", "Invalid TOTP", "Renewal of
# token not allowed for this token type" (the last one as HTTP 500).
_TOO_SOON = re.compile(r"once every|too many|rate limit|throttl", re.IGNORECASE)
_CODE = re.compile(r"\btotp\b", re.IGNORECASE)
_KIND = re.compile(r"not allowed for this token", re.IGNORECASE)
G = TypeVar("G")


class DhanTokens:
    """Bound to one journal row, whose endpoint says which of the two hosts is asked."""

    def __init__(self, call: WireCall) -> None:
        self._call = call
        self._client_id = call.account.client_id

    def __repr__(self) -> str:
        return f"<DhanTokens on {self._call}>"

    def renew(self, token: str) -> Minting:
        """``GET /RenewToken``: a POST is refused with DH-905 (recorded)."""
        headers = {"access-token": token, "dhanClientId": self._client_id}
        return self._mint("GET", "/RenewToken", {}, headers, (token,))

    def log_in(self, pin: str, code: str) -> Minting:
        """``POST /app/generateAccessToken``; the secrets travel in the query, as documented."""
        query = {"dhanClientId": self._client_id, "pin": pin, "totp": code}
        return self._mint("POST", "/app/generateAccessToken", query, {}, (pin, code))

    def ask_consent(self, app_id: str, app_secret: str) -> Consenting:
        """``POST /app/generate-consent``, and the page where a person then logs in."""
        query, app = {"client_id": self._client_id}, _app(app_id, app_secret)
        reply = self._ask("POST", "/app/generate-consent", query, app)
        return self._answer(reply, tuple(app.values()), self._consent)

    def use_consent(self, app_id: str, app_secret: str, token_id: str) -> Minting:
        """``POST /app/consumeApp-consent``: documented as GET and as POST, seen working as both."""
        app = _app(app_id, app_secret)
        secrets = (*app.values(), token_id)
        return self._mint("POST", "/app/consumeApp-consent", {"tokenId": token_id}, app, secrets)

    def _mint(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        headers: dict[str, str],
        secrets: tuple[str, ...],
    ) -> Minting:
        reply = self._ask(method, path, query, headers)
        return self._answer(reply, secrets, _minted)

    def _ask(self, method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> Reply:
        accept = {"Accept": "application/json"}
        reply = wire.transmit(self._call, method, path, None, headers | accept, query or None)
        self._call.http_status = reply.status
        return reply

    def _answer(
        self, reply: Reply, secrets: tuple[str, ...], understand: Callable[[Reply], G]
    ) -> G | Denied | NotSent | Unknown:
        """What the reply means; no secret of the request is in any text of it."""

        def scrubbed(text: str) -> str:
            return without_secrets(clean_text(text), (*secrets, self._client_id))

        complaint = complaint_in(reply.body)
        if reply.trouble is not None and complaint is None:
            unsent = isinstance(reply.trouble, NotSent)
            kind = NotSent if unsent else Unknown
            return kind(scrubbed(reply.trouble.why))
        if complaint is not None:
            reason = _denial(reply.status or 0, complaint)
            text = scrubbed(str(complaint))
            return Unknown(text) if reason is None else Denied(reason, text)
        if reply.status is None or not 200 <= reply.status < 300:
            return Unknown(f"HTTP {reply.status} without an error that DhanHQ documents")
        try:
            return understand(reply)
        except BadWire as error:
            return Unknown(f"HTTP {reply.status}, but {scrubbed(str(error))}")

    def _consent(self, reply: Reply) -> ConsentGiven:
        found = read(ConsentBody, reply.body, "consent")
        query = urlencode({"consentAppId": found.consent_id})
        return ConsentGiven(f"{self._call.endpoint.rstrip('/')}/login/consentApp-login?{query}")


def _minted(reply: Reply) -> Minted:
    return minted_from_body(reply.body)


def _app(app_id: str, app_secret: str) -> dict[str, str]:
    return {"app_id": app_id, "app_secret": app_secret}


def _denial(status: int, complaint: Complaint) -> Denial | None:
    """Why the broker gave no token; None when it may have made one all the same."""
    if _KIND.search(complaint.text):
        return Denial.KIND
    if _TOO_SOON.search(complaint.text):
        return Denial.TOO_SOON
    if _CODE.search(complaint.text):
        return Denial.CODE
    meaning = meaning_of(status, complaint)
    if meaning.kind == "token":
        return Denial.TOKEN
    if meaning.kind == "rate":
        return Denial.TOO_SOON
    return None if meaning.after is After.DOUBT else Denial.OTHER
