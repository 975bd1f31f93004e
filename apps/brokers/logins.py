"""What a login at a broker takes, and the login in a browser from its first step to its last.

Secrets go in and never come out: an empty field keeps what is stored, and what is stored belongs to
one address. Whoever changes the address writes every secret anew, so that none is sent elsewhere.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.alerts.secrets import Secret
from apps.brokers import sessions, tokens, totp
from apps.brokers.models import LOOPBACK, AccessToken, BrokerAccount, Consent, LoginCredentials

SECRETS = ("pin", "totp_secret", "app_id", "app_secret")
PAIRS = (("pin", "totp_secret"), ("app_id", "app_secret"))
FORGET = "-"  # what a person writes to have a secret forgotten
_PIN = re.compile(r"\d{4,10}", re.ASCII)
_VISIBLE = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)


def check_login(account: BrokerAccount, auth_url: str, written: dict[str, str]) -> dict[str, str]:
    """What would be stored: all four secrets. Raises ``ValidationError`` by field."""
    stored = LoginCredentials.objects.filter(account=account).first() if account.pk else None
    problems: dict[str, str] = {}
    moved = stored is not None and stored.auth_url != auth_url
    kept = {name: str(getattr(stored, name)) if stored else "" for name in SECRETS}
    wanted = {name: _wanted(written.get(name, ""), kept[name]) for name in SECRETS}
    for name in SECRETS:
        if moved and wanted[name] and not written.get(name):
            problems[name] = "The address is another one: write this again, or - to forget it."
        elif wanted[name] and (problem := _problem(name, wanted[name])):
            problems[name] = problem
    for first, second in PAIRS:
        if bool(wanted[first]) != bool(wanted[second]):
            missing = second if wanted[first] else first
            problems.setdefault(missing, "The two belong together: write both, or - in both.")
    if problem := _bad_address(account, auth_url, needed=any(wanted.values())):
        problems["auth_url"] = problem
    if problems:
        raise ValidationError(problems)
    return wanted


def _wanted(written: str, kept: str) -> str:
    written = written.strip()
    return "" if written == FORGET else written or kept


def _problem(name: str, value: str) -> str:
    """Why this cannot be such a secret, without showing it."""
    if name == "pin":
        return "" if _PIN.fullmatch(value) else "A PIN is 4 to 10 digits."
    if name == "totp_secret":
        try:
            totp.key_of(value)
        except ValueError:
            return "Write the secret that the broker shows beside its QR code: letters and 2 to 7."
        return ""
    return "" if _VISIBLE.fullmatch(value) else "One word of at most 200 plain characters."


def _bad_address(account: BrokerAccount, auth_url: str, *, needed: bool) -> str:
    if not auth_url:
        return "Where tokens come from; DhanHQ: https://auth.dhan.co." if needed else ""
    parts = urlsplit(auth_url)
    loopback = (parts.hostname or "") in LOOPBACK
    if account.environment == "paper":
        return "" if loopback else "A paper account logs in at this machine only."
    if loopback or parts.scheme != "https":
        return "Must start with https:// and be the broker's own; DhanHQ: https://auth.dhan.co."
    return ""


@transaction.atomic
def store_login(account: BrokerAccount, auth_url: str, written: dict[str, str]) -> LoginCredentials:
    """Store secrets that were written; logins that a refusal had stopped may go on.

    Raises ``ValidationError`` by field.
    """
    wanted = check_login(account, auth_url, written)
    columns = {name: Secret(value) for name, value in wanted.items()}
    login, _ = LoginCredentials.objects.update_or_create(
        account=account,
        defaults={
            **columns,
            "auth_url": auth_url,
            "stopped_at": None,
            "stopped_text": "",
            "refused_codes": 0,
            "changed_at": timezone.now(),
        },
    )
    sessions.session_of(account)
    return login


# --- the login in a browser -----------------------------------------------------------------


def begin_consent(account: BrokerAccount, user: User) -> tuple[str, str]:
    """(address of the broker's page, state). The state stays with the person who asked.

    Raises ``tokens.NotNow`` and ``tokens.NoToken``.
    """
    page = tokens.ask_consent(account, user.get_username())
    state = secrets.token_urlsafe(32)
    Consent.objects.create(account=account, state_hash=_hash(state), asked_by=user)
    return page, state


def open_consent(state: str, user: User) -> Consent | None:
    """The login that this person began and that may still be completed."""
    consent = Consent.objects.select_related("account").filter(state_hash=_hash(state)).first()
    if consent is None or consent.used_at is not None or consent.asked_by_id != user.pk:
        return None
    return consent if consent.ends_at > timezone.now() else None


def finish_consent(consent: Consent, token_id: str) -> AccessToken:
    """Use it up, then ask for the token. Raises ``tokens.NotNow`` and ``tokens.NoToken``."""
    if not _VISIBLE.fullmatch(token_id):
        raise tokens.NoToken("the broker sent no token id along; begin again")
    mine = Consent.objects.filter(pk=consent.pk, used_at=None).update(used_at=timezone.now())
    if not mine:
        raise tokens.NoToken("this login was completed already")
    return tokens.use_consent(consent.account, token_id, consent.asked_by.get_username())


def consent_minutes() -> int:
    """For how long a login in the browser can be completed."""
    return int(settings.CONSENT_LIFETIME // 60)


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()
