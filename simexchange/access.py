"""What lets a client in: the token in force, how it was made, and what a new one takes.

DhanHQ v2 documentation, authentication page: one token is active at a time and lives 24 hours; only
one made on the broker's web page can be renewed.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from simexchange.clock import IST

WEB, PIN, APP = "WEB", "PIN", "APP"
LIFETIME = timedelta(hours=24)
TOTP_STEP = 30


@dataclass(slots=True)
class Access:
    """One client's way in. `ends` None: the token never does. `pin` and the rest are for logins."""

    made: str = WEB
    ends: datetime | None = None
    pin: str = "112233"
    totp_secret: str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # noqa: S105 - of a simulation
    app_id: str = "app-1"
    app_secret: str = "app-secret-1"  # noqa: S105 - of a simulation
    redirect_url: str = ""
    address_allowed: bool = True
    used_step: int = 0
    minted_at: float = 0.0

    def is_over(self, now: datetime) -> bool:
        return self.ends is not None and self.ends <= now

    def takes(self, code: str, now: datetime) -> bool:
        """A code counts in its half minute and the one after, and once."""
        step = int(now.timestamp()) // TOTP_STEP
        for candidate in (step, step - 1):
            if candidate > self.used_step and code == _code(self.totp_secret, candidate):
                self.used_step = candidate
                return True
        return False


def entry_of(access: Access) -> dict[str, Any]:
    return asdict(access)


def access_from(entry: dict[str, Any]) -> Access:
    ends = entry.get("ends")
    return Access(**{**entry, "ends": None if ends is None else datetime.fromisoformat(ends)})


def new_token(client_id: str, ends: datetime, number: int, seed: int) -> str:
    """Shaped like the broker's: a signed JSON token, here signed by nobody."""
    header = {"typ": "JWT", "alg": "HS512"}
    claims = {"iss": "dhan", "exp": int(ends.timestamp()), "dhanClientId": client_id, "n": number}
    sign = hashlib.sha256(f"{seed}/{client_id}/{number}".encode()).digest()
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), sign)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def expiry_text(ends: datetime) -> str:
    """As the broker writes it: Indian time without an offset."""
    return ends.astimezone(IST).replace(tzinfo=None).isoformat(timespec="milliseconds")


def _code(secret: str, step: int) -> str:
    """RFC 6238 with SHA-1 and six digits."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, step.to_bytes(8, "big"), hashlib.sha1)
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"
