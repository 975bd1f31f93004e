"""The SDK's ``dhan_http`` on our own line: one committed journal row, one request."""

from __future__ import annotations

import re
from typing import Any

from apps.alerts.raising import raise_alert
from apps.brokers import sessions, wire
from apps.brokers.dhan.errors import complaint_in, is_listed, meaning_of
from apps.brokers.dhan.mapping import body_to_send
from apps.brokers.models import Verb, WireCall
from apps.brokers.port import NotSent
from apps.brokers.sessions import Hearing, Held
from apps.brokers.storable import clean_text, without_secrets
from apps.brokers.wire import Reply

# What can stand in an HTTP header; anything else would end up in an error text.
_TOKEN = re.compile(r"[\x21-\x7e]+", re.ASCII)
_SAFE_PATH = re.compile(r"[A-Za-z0-9/_-]+(\?killSwitchStatus=(DE)?ACTIVATE)?", re.ASCII)


class Line:
    """``get``, ``post``, ``put`` and ``delete`` as the SDK's endpoint classes call them.

    They return our ``Reply``, not the SDK's dictionary, which calls every exception a failure
    and drops the HTTP status.
    """

    def __init__(self, call: WireCall) -> None:
        self.client_id = call.account.client_id
        self._call = call
        self._held = sessions.held(call.account)
        self._token = self._held.value if self._held else ""

    def __repr__(self) -> str:
        return f"<Line of {self._call.account}>"

    def get(self, endpoint: str) -> Reply:
        """Ask; nothing changes at the broker."""
        # The SDK asks for the trade book with a slash at the end, which is not documented.
        return self._send("GET", endpoint.rstrip("/"), None)

    def post(self, endpoint: str, payload: dict[str, Any]) -> Reply:
        """Send a body; where the SDK has none, like the SDK an empty one."""
        body = body_to_send(payload, self.client_id) if payload else {}
        return self._send("POST", endpoint, body)

    def put(self, endpoint: str, payload: dict[str, Any]) -> Reply:
        """Send a body that changes something."""
        return self._send("PUT", endpoint, body_to_send(payload, self.client_id))

    def delete(self, endpoint: str) -> Reply:
        """Ask for something to be undone."""
        return self._send("DELETE", endpoint, None)

    def token_changed(self) -> bool:
        """True when another token is in force than the one used, or is just being asked for."""
        held = sessions.held(self._call.account)
        if held is None or self._held is None:
            return held is not None
        return held.changing or held.token_id != self._held.token_id

    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any text that is kept."""
        return (str(self._token), self.client_id)

    def scrubbed(self, text: str) -> str:
        """The text without token and client id."""
        return without_secrets(text, self.secrets())

    def _send(self, method: str, path: str, payload: dict[str, Any] | None) -> Reply:
        held = self._held
        if held is None or not _TOKEN.fullmatch(self._token):
            why = "contains characters that no token has" if self._token else "is missing"
            return _unsent(f"the access token {why}: store a new one", about_session=True)
        if not _SAFE_PATH.fullmatch(path):
            return _unsent("an id contains characters that cannot be part of an address")
        if self._waits(held):
            why = "the broker refuses the access token in force; waiting for another one"
            return _unsent(why, about_session=True)
        reply = wire.transmit(self._call, method, path, payload, self._headers())
        sessions.heard(self._call.account, held, self._hearing(reply))
        return reply

    def _waits(self, held: Held) -> bool:
        """Nothing is sent with a token that is refused; a read now and then asks whether it is."""
        return held.refused

    def _hearing(self, reply: Reply) -> Hearing:
        """What the reply says of token and address. Silence and broken answers say nothing."""
        complaint = complaint_in(reply.body)
        if complaint is not None and not is_listed(complaint):
            text = f"DhanHQ uses an error code that the desk does not know: {complaint}"
            raise_alert(f"code:dhan:{complaint.code}", self.scrubbed(text))
        status = reply.status
        if complaint is None and status is not None and 200 <= status < 300:
            sound = reply.trouble is None or reply.empty
            return Hearing(
                let_in=True if sound else None,
                address_right=True if sound and self._call.verb != Verb.READ else None,
                ahead=reply.ahead,
            )
        if status is None or status >= 500:
            return Hearing(ahead=reply.ahead)
        kind = meaning_of(status, complaint).kind
        text = f"HTTP {status}: {complaint or 'no reason given'}"
        return Hearing(
            let_in=False if kind == "token" else None,
            address_right=False if kind == "address" else None,
            text=self.scrubbed(clean_text(text)),
            ahead=reply.ahead,
        )

    def _headers(self) -> dict[str, str]:
        return {
            "access-token": str(self._token),
            "client-id": self.client_id,
            "Content-Type": "application/json",
            "Accept": "application/json",
        }


def _unsent(why: str, *, about_session: bool = False) -> Reply:
    return Reply(None, None, NotSent(why, about_session))


_ASKED_BY_POST = {"/marketfeed/quote", "/margincalculator", "/margincalculator/multi"}


class ReadLine(Line):
    """A line that cannot change anything, whichever method of the SDK is called on it."""

    def _waits(self, held: Held) -> bool:
        return held.resting

    def post(self, endpoint: str, payload: dict[str, Any]) -> Reply:
        """Send a body; only quotes and margins are asked for by POST."""
        if endpoint not in _ASKED_BY_POST:
            raise PermissionError("the reading door cannot send")
        return self._send("POST", endpoint, {"dhanClientId": self.client_id, **payload})

    def put(self, endpoint: str, payload: dict[str, Any]) -> Reply:
        """Refuse: a read changes nothing."""
        raise PermissionError("the reading door cannot send")

    def delete(self, endpoint: str) -> Reply:
        """Refuse: a read changes nothing."""
        raise PermissionError("the reading door cannot send")
