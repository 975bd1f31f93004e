"""The SDK's ``dhan_http`` on our own line: one committed journal row, one request."""

from __future__ import annotations

import re
from typing import Any

from apps.brokers import wire
from apps.brokers.dhan.mapping import body_to_send
from apps.brokers.models import WireCall
from apps.brokers.port import NotSent
from apps.brokers.storable import without_secrets
from apps.brokers.wire import Reply

# What can stand in an HTTP header; anything else would end up in an error text.
_TOKEN = re.compile(r"[\x21-\x7e]+", re.ASCII)
_SAFE_PATH = re.compile(r"[A-Za-z0-9/_-]+", re.ASCII)


class Line:
    """``get``, ``post``, ``put`` and ``delete`` as the SDK's endpoint classes call them.

    They return our ``Reply``, not the SDK's dictionary, which calls every exception a failure
    and drops the HTTP status.
    """

    def __init__(self, call: WireCall) -> None:
        token = call.account.token()
        self.client_id = call.account.client_id
        self._call = call
        self._token = token.value if token else ""

    def __repr__(self) -> str:
        return f"<Line of {self._call.account}>"

    def get(self, endpoint: str) -> Reply:
        """Ask; nothing changes at the broker."""
        # The SDK asks for the trade book with a slash at the end, which is not documented.
        return self._send("GET", endpoint.rstrip("/"), None)

    def post(self, endpoint: str, payload: dict[str, Any]) -> Reply:
        """Send a body."""
        return self._send("POST", endpoint, body_to_send(payload, self.client_id))

    def put(self, endpoint: str, payload: dict[str, Any]) -> Reply:
        """Send a body that changes something."""
        return self._send("PUT", endpoint, body_to_send(payload, self.client_id))

    def delete(self, endpoint: str) -> Reply:
        """Ask for something to be undone."""
        return self._send("DELETE", endpoint, None)

    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any text that is kept."""
        return (str(self._token), self.client_id)

    def scrubbed(self, text: str) -> str:
        """The text without token and client id."""
        return without_secrets(text, self.secrets())

    def _send(self, method: str, path: str, payload: dict[str, Any] | None) -> Reply:
        if not _TOKEN.fullmatch(self._token):
            why = "contains characters that no token has" if self._token else "is missing"
            return _unsent(f"the access token {why}: store a new one")
        if not _SAFE_PATH.fullmatch(path):
            return _unsent("an id contains characters that cannot be part of an address")
        return wire.transmit(self._call, method, path, payload, self._headers())

    def _headers(self) -> dict[str, str]:
        return {
            "access-token": str(self._token),
            "client-id": self.client_id,
            "Content-Type": "application/json",
            "Accept": "application/json",
        }


def _unsent(why: str) -> Reply:
    return Reply(None, None, NotSent(why))


_ASKED_BY_POST = {"/marketfeed/quote", "/margincalculator", "/margincalculator/multi"}


class ReadLine(Line):
    """A line that cannot change anything, whichever method of the SDK is called on it."""

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
