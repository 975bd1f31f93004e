"""When a token says that it ends. It is only ever one claim among others, and never verified."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json

LONGEST = dt.timedelta(days=400)  # the longest life of any token that a broker documents is 30 days
_MOST = 4096  # characters of a claim that are looked at


def claimed_end(token: str) -> dt.datetime | None:
    """The ``exp`` of a signed JSON token; None when there is none or it makes no sense.

    Nothing of the token gets into an error or a log: what cannot be read is simply no claim.
    """
    parts = token.split(".")
    if len(parts) != 3 or len(parts[1]) > _MOST:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    seconds = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        end = dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (ValueError, OverflowError, OSError):
        return None
    now = dt.datetime.now(dt.UTC)
    return end if now - LONGEST < end < now + LONGEST else None
