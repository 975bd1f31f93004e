"""What goes over DhanHQ's order-update socket, and what each frame means to us. No network here.

Sources: DhanHQ v2 documentation, order-update and annexure pages; casing and omitted fields as
recorded on the wire.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from apps.brokers.dhan.mapping import camel, report_from_frame
from apps.brokers.port import BadWire, OrderReport

_LOGIN_CODE = 42
_FAREWELL_CODE = 50
_REASON_AT = 8  # little endian, after the header of eight bytes
REASONS = {
    805: "too many connections or requests",
    806: "the data plan is missing",
    807: "the access token has expired",
    808: "the broker does not accept the login",
    809: "the access token is not valid",
    810: "the client id is not valid",
}
TOKEN_REASONS = {807, 808, 809, 810}


@dataclass(frozen=True)
class Oddity:
    """A frame that is no news of an order; ``kind`` groups what is worth one warning."""

    kind: str
    text: str


def login(client_id: str, token: str) -> str:
    """The first frame of a connection; a good one is never answered."""
    request = {"MsgCode": _LOGIN_CODE, "ClientId": client_id, "Token": token}
    return json.dumps({"LoginReq": request, "UserType": "SELF"})


def text_frame(payload: bytes, client_id: str, zone: ZoneInfo) -> OrderReport | Oddity:
    """News of one order of ours, or what is odd about the frame. Never raises."""
    body = _parsed(payload)
    if not isinstance(body, dict):
        return Oddity("garbage", "a frame of the order feed is not a JSON object")
    kind, data = body.get("Type"), body.get("Data")
    if kind != "order_alert":
        return Oddity("type", "a frame of the order feed is of a type that we do not know")
    if _is_foreign(data, client_id):
        return Oddity("foreign", "the order feed carries another client's orders: refused")
    try:
        return report_from_frame(data, zone)
    except BadWire as error:
        return Oddity("schema", f"a frame of the order feed does not fit: {error}")


def _is_foreign(data: object, client_id: str) -> bool:
    lowered = camel(data)
    whose = lowered.get("clientId") if isinstance(lowered, dict) else None
    return whose is not None and str(whose) != client_id


def _parsed(payload: bytes) -> Any:  # noqa: ANN401 - JSON is any
    try:
        return json.loads(payload, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def binary_frame(payload: bytes) -> int | Oddity:
    """The reason for the broker's leaving: the only binary frame here that means something."""
    if len(payload) < _REASON_AT + 2 or payload[0] != _FAREWELL_CODE:
        return Oddity("binary", "the order feed sent bytes that mean nothing to us")
    return int(struct.unpack_from("<h", payload, _REASON_AT)[0])
