"""A WebSocket that cannot be made to wait or to hoard: a turn of reading is short and bounded."""

from __future__ import annotations

import time
from typing import Any

import websocket
from django.conf import settings
from websocket import (
    WebSocketBadStatusException,
    WebSocketException,
    WebSocketPayloadException,
    WebSocketTimeoutException,
)
from websocket._abnf import frame_buffer

TURN = 0.5  # seconds of one turn: how long a wish to stop may go unheard
MAX_FRAME = 1024 * 1024  # bytes; an order update has about one thousand, a price at most 162
_FRAGMENT = 1


class Refused(Exception):
    """The handshake was answered, but not with a WebSocket."""

    def __init__(self, status: int | None) -> None:
        super().__init__(f"answers the handshake with HTTP {status}")
        self.status = status


class _BoundedBuffer(frame_buffer):
    def recv_length(self) -> None:
        super().recv_length()
        if (self.length or 0) > MAX_FRAME:
            raise WebSocketPayloadException("a frame is larger than 1 MB")


class FeedSocket(websocket.WebSocket):
    """``turn`` ends within about a second, whatever the other side drips or floods."""

    def __init__(self) -> None:
        super().__init__(skip_utf8_validation=True)
        self.frame_buffer = _BoundedBuffer(self._recv, True)
        self._turn_ends = float("inf")

    def turn(self) -> tuple[int, bytes] | None:
        """The next frame as (opcode, payload), or None when the turn brought none."""
        self._turn_ends = time.monotonic() + TURN
        try:
            opcode, frame = self.recv_data_frame(control_frame=True)
        except WebSocketTimeoutException:
            return None  # half a frame stays in the buffer and goes on in the next turn
        return opcode, bytes(frame.data)

    def leave(self) -> None:
        """Drop the connection at once."""
        self.shutdown()  # type: ignore[no-untyped-call]

    def _recv(self, bufsize: int) -> Any:  # noqa: ANN401 - the library's own signature
        if time.monotonic() > self._turn_ends:
            raise WebSocketTimeoutException("the turn is over")
        fragments = self.cont_frame.cont_data
        if fragments and len(fragments[_FRAGMENT]) > MAX_FRAME:
            raise WebSocketPayloadException("a message is larger than 1 MB")
        return super()._recv(bufsize)  # type: ignore[no-untyped-call]


def connect(url: str) -> FeedSocket:
    """Open the socket without proxy and without following redirects; raises when it fails."""
    feed = FeedSocket()
    try:
        feed.connect(  # type: ignore[no-untyped-call]
            url,
            timeout=settings.CONNECT_TIMEOUT,
            redirect_limit=0,
            http_no_proxy=["*"],
            suppress_origin=True,
            header=[f"User-Agent: {settings.USER_AGENT}"],
        )
    except WebSocketBadStatusException as error:
        raise Refused(error.status_code) from None
    if feed.getstatus() != 101:
        status = feed.getstatus()
        feed.leave()
        raise Refused(status)
    feed.settimeout(TURN)
    return feed


NETWORK_ERRORS = (WebSocketException, OSError, ValueError)
