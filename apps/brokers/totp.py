"""One-time codes for a login at a broker (RFC 6238: SHA-1, six digits, half a minute)."""

from __future__ import annotations

import base64
import binascii
import time

from django_otp.oath import hotp

STEP = 30  # seconds that a code lasts
LATE = 4  # seconds before its end in which a code is not begun with: it must still arrive


def key_of(secret: str) -> bytes:
    """The secret as an authenticator shows it, in base32; raises ``ValueError``."""
    text = "".join(secret.split()).upper().rstrip("=")
    try:
        key = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        raise ValueError("is not a base32 secret") from None
    if len(key) < 10:
        raise ValueError("is too short for a secret")
    return key


def code_at(secret: str, step: int) -> str:
    """The code of that half minute."""
    return f"{hotp(key_of(secret), step):06d}"


def next_step(ahead: float, used: int | None) -> tuple[int, float]:
    """The next half minute whose code can be used, and the seconds until it may be.

    By the broker's clock, which is ``ahead`` seconds ahead of ours. A code counts once.
    """
    now = time.time() + ahead
    step = int(now // STEP)
    if now % STEP > STEP - LATE:
        step += 1
    if used is not None and step <= used <= step + 2:
        step = used + 1
    return step, max(0.0, step * STEP - now)
