"""What the broker's replies say of an account's session, kept in one row per account.

Whoever talks to a broker asks ``held`` for the token in force at that moment and tells ``heard``
what came of it. A refusal speaks of the token that was sent and of no other: once another token
is in force it is history. The first refusal of a token is told to people; the others are not.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from dataclasses import dataclass

import structlog
from django.db import Error, connection, transaction
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import STEADY, raise_alert, settle_alert
from apps.alerts.secrets import Secret, decrypted
from apps.brokers.models import AccessToken, BrokerAccount, BrokerSession, LoginCredentials

log = structlog.get_logger(__name__)

WRITE_EVERY = 10.0  # seconds between two writes of what has not changed
ASK_AGAIN_AFTER = 15.0  # seconds for which a refused token is not even used for reading
JUMP = 1.0  # seconds; a clock that moved by more is written at once
BY_ITSELF = "The desk logs in again by itself."
BY_A_PERSON = (
    "Somebody must get a new one: on the account's session page, or manage.py store_token {name}."
)


@dataclass(frozen=True)
class Held:
    """The token in force now, and what the broker has refused lately."""

    token_id: int
    value: Secret
    refused: bool
    refused_last: dt.datetime | None
    address_refused: bool
    changing: bool  # another token is being asked for, and this one may be over already

    @property
    def resting(self) -> bool:
        """True for a while after a confirmed refusal: a read now and then will see a change."""
        if not self.refused or self.refused_last is None:
            return False
        return timezone.now() - self.refused_last < dt.timedelta(seconds=ASK_AGAIN_AFTER)


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """What one reply says of the session. ``None`` means "no news".

    ``let_in``: whether the token counted. ``address_right``: whether orders are taken from where
    we are. ``ahead``: seconds by which the broker's clock is ahead of ours.
    """

    let_in: bool | None = None
    address_right: bool | None = None
    text: str = ""
    ahead: float | None = None


_HELD = """
    SELECT token.id, token.value, session.refused_token_id, session.refused_last,
           session.address_refused_at, session.minting_id
    FROM brokers_accesstoken token
    LEFT JOIN brokers_brokersession session ON session.account_id = token.account_id
    WHERE token.account_id = %s AND token.retired_at IS NULL
"""


def held(account: BrokerAccount) -> Held | None:
    """The token in force, read now; None when there is none. One query, on every call."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD, [account.pk])
        row = cursor.fetchone()
    if row is None:
        return None
    token_id, value, refused_id, refused_last, address_refused_at, minting_id = row
    return Held(
        token_id,
        decrypted(value),
        refused=refused_id == token_id,
        refused_last=refused_last,
        address_refused=address_refused_at is not None,
        changing=minting_id is not None,
    )


def is_refused(account: BrokerAccount) -> bool:
    """True while the broker refuses the token in force: one alert has told people already."""
    found = held(account)
    return found is not None and found.refused


_lately: dict[int, tuple[float, float | None]] = {}  # account → when written, clock written
_writing = threading.Lock()


def heard(account: BrokerAccount, used: Held, hearing: Hearing) -> None:
    """Keep what a reply said. Never raises because of the database: an order's fate may follow."""
    try:
        if hearing.let_in is False:
            refused(account, used.token_id, hearing.text)
        elif hearing.let_in and used.refused:
            _accepted_again(account, used.token_id)
        if hearing.address_right is False:
            address_refused(account, hearing.text)
        elif hearing.address_right and used.address_refused:
            address_accepted(account)
        _note(account, hearing)
    except Error as error:
        log.warning("session not written", account=account.name, error=type(error).__name__)
        connection.close_if_unusable_or_obsolete()


def refused(account: BrokerAccount, token_id: int, text: str) -> bool:
    """The broker does not let this token in. The first time, people are told.

    False when that is no news: another token is in force, or one is being asked for.
    """
    now = timezone.now()
    with transaction.atomic():
        _row_of(account)
        session = BrokerSession.objects.filter(account=account)
        in_force = AccessToken.objects.filter(pk=token_id, retired_at=None).exists()
        if not in_force or not session.filter(minting=None).exists():
            return False
        session.filter(refused_token=token_id).update(refused_last=now)
        first = session.exclude(refused_token=token_id).update(
            refused_token=token_id, refused_at=now, refused_last=None, refused_text=text[:300]
        )
        if first:
            tell(account, f"the broker refuses the access token ({text})", what_next=True)
    return True


def _accepted_again(account: BrokerAccount, token_id: int) -> None:
    cleared = BrokerSession.objects.filter(account=account, refused_token=token_id).update(
        refused_token=None, refused_at=None, refused_last=None, refused_text=""
    )
    if cleared:
        log.info("session works again", account=account.name)
        settle_alert(f"session:{account.name}", "the broker accepts the token again", STEADY)


def address_refused(account: BrokerAccount, text: str) -> None:
    """The broker takes no orders from where we are. The first time, people are told."""
    now = timezone.now()
    with transaction.atomic():
        _row_of(account)
        session = BrokerSession.objects.filter(account=account)
        first = session.filter(address_refused_at=None).update(
            address_refused_at=now, address_text=text[:300], address_checked_at=None
        )
        session.update(address_refused_last=now)
        if first:
            seen = session.values_list("egress", flat=True).first() or "not known yet"
            tell(
                account,
                f"the broker takes no orders from this machine's address ({text}). Our address "
                f"as the broker sees it: {seen}. Register it with the broker.",
                about="address",
            )


def address_accepted(account: BrokerAccount) -> None:
    """Orders are taken from where we are."""
    BrokerSession.objects.filter(account=account).update(
        address_refused_at=None, address_refused_last=None, address_text=""
    )
    settle_alert(f"address:{account.name}", "orders are taken from our address again", STEADY)


def _note(account: BrokerAccount, hearing: Hearing) -> None:
    """Clock and sign of life, at most every ten seconds per process: this is on every reply."""
    if not _worth_writing(account.pk, hearing.ahead):
        return
    now = timezone.now()
    columns: dict[str, object] = {"accepted_at": now} if hearing.let_in else {}
    if hearing.ahead is not None:
        columns |= {"clock_offset": hearing.ahead, "clock_at": now}
    session = BrokerSession.objects.filter(account=account)
    if columns and not session.update(**columns):
        _row_of(account)
        session.update(**columns)


def _worth_writing(account_id: int, ahead: float | None) -> bool:
    with _writing:
        written_at, offset = _lately.get(account_id, (float("-inf"), None))
        jumped = ahead is not None and (offset is None or abs(ahead - offset) > JUMP)
        if not jumped and time.monotonic() - written_at < WRITE_EVERY:
            return False
        _lately[account_id] = (time.monotonic(), offset if ahead is None else ahead)
        return True


def _row_of(account: BrokerAccount) -> None:
    """Make sure that the account has its row."""
    BrokerSession.objects.bulk_create([BrokerSession(account=account)], ignore_conflicts=True)


def session_of(account: BrokerAccount) -> BrokerSession:
    """The account's row, locked when called inside a transaction."""
    _row_of(account)
    rows = BrokerSession.objects.filter(account=account)
    if connection.in_atomic_block:
        rows = rows.select_for_update()
    return rows.get()


def start_afresh(account: BrokerAccount) -> None:
    """Another token is in force: what was tried before it, and any doubt, is history."""
    BrokerSession.objects.filter(account=account).update(
        minting=None, next_try_at=None, failures=0, failure_text=""
    )
    settle_alert(f"session:{account.name}", "another token is in force")


def tell(
    account: BrokerAccount,
    text: str,
    severity: Severity = Severity.CRITICAL,
    *,
    about: str = "session",
    what_next: bool = False,
) -> None:
    """One open alert per account and subject, with the newest word on it.

    ``what_next`` adds what happens now: a login by itself, or what a person must do.
    """
    if what_next:
        by_itself = logs_in_by_itself(account)
        severity = Severity.WARNING if by_itself else severity
        text = f"{text}. {BY_ITSELF if by_itself else BY_A_PERSON.format(name=account.name)}"
    raise_alert(f"{about}:{account.name}", f"{account.name}: {text}", severity)


def logs_in_by_itself(account: BrokerAccount) -> bool:
    """True when PIN and TOTP secret are stored and the broker has not refused them."""
    login = LoginCredentials.objects.filter(account=account, stopped_at=None).first()
    return login is not None and login.by_itself
