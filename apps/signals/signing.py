"""Is this request from its source? Judged over the raw bytes, before anything is parsed.

Two forms: Standard Webhooks (``webhook-id``, ``webhook-timestamp``, ``webhook-signature``), and for
older senders ``X-Timestamp`` with ``X-Signature``, a hex HMAC of ``timestamp.body``. Both sign
the time, so that an old request cannot be sent again.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PREFIX = "whsec_"
MOST_SIGNATURES = 16
_ID = re.compile(r"[\x21-\x7e]{1,190}")
_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)
_HEX = re.compile(r"(?:sha256=)?([0-9a-fA-F]{64})")


class Untrusted(Exception):
    """The request is not proved to come from its source. The text is for us, not for the sender."""


@dataclass(frozen=True)
class Proof:
    """Who says so and when. ``key`` names the message for ever."""

    sender_id: str
    sent_at: dt.datetime
    key: str


def new_secret() -> str:
    """A secret in the spelling of Standard Webhooks: 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` of a message."""
    digest = hmac.digest(_key(secret), f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def sign_plainly(secret: str, timestamp: int, body: bytes) -> str:
    """The ``X-Signature`` of a message: hex, with the secret's text as the key."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def authenticate(
    headers: Mapping[str, str],
    body: bytes,
    active: Sequence[str],
    now: dt.datetime,
    window: dt.timedelta,
) -> Proof:
    """The proof that one of the ``active`` secrets signed this lately. Raises ``Untrusted``."""
    if "webhook-signature" in headers:
        proof = _standard(headers, body, active)
    elif "x-signature" in headers:
        proof = _plain(headers, body, active)
    else:
        raise Untrusted("there is no signature")
    if abs(now - proof.sent_at) > window:
        away = (now - proof.sent_at).total_seconds()
        raise Untrusted(f"its time is {away:.0f} s before ours; {window.seconds} s are allowed")
    return proof


def _standard(headers: Mapping[str, str], body: bytes, active: Sequence[str]) -> Proof:
    message_id = headers.get("webhook-id", "")
    if not _ID.fullmatch(message_id):
        raise Untrusted("webhook-id is missing or strange")
    stamp = _stamp(headers.get("webhook-timestamp", ""))
    given = headers["webhook-signature"].split(" ")[:MOST_SIGNATURES]
    fitting = [sign(secret, message_id, stamp, body) for secret in active]
    if not _any_equal(given, fitting):
        raise Untrusted("no signature fits")
    return Proof(message_id, _moment(stamp), f"id:{message_id}")


def _plain(headers: Mapping[str, str], body: bytes, active: Sequence[str]) -> Proof:
    stamp = _stamp(headers.get("x-timestamp", ""))
    match = _HEX.fullmatch(headers["x-signature"])
    if match is None:
        raise Untrusted("X-Signature is not the hex form of a SHA-256")
    fitting = [sign_plainly(secret, stamp, body) for secret in active]
    if not _any_equal([match.group(1).lower()], fitting):
        raise Untrusted("the signature does not fit")
    return Proof("", _moment(stamp), f"hash:{_hash(stamp, body)}")


def _any_equal(given: Sequence[str], fitting: Sequence[str]) -> bool:
    """Compare every pair in constant time: how long it takes tells nothing."""
    equal = False
    for one in given:
        text = one.encode("utf-8", "surrogatepass")
        for other in fitting:
            equal |= hmac.compare_digest(text, other.encode())
    return equal


def _stamp(text: str) -> int:
    if not _SECONDS.fullmatch(text):
        raise Untrusted("the timestamp is missing or not unix seconds")
    return int(text)


def _moment(stamp: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(stamp, dt.UTC)


def _hash(stamp: int, body: bytes) -> str:
    return hashlib.sha256(f"{stamp}.".encode() + body).hexdigest()


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a signing secret is whsec_ and base64") from error
