"""Keeping every account's session alive, every few seconds, one process at a time per account.

In this order: end a doubt by looking; replace a token that is no good; renew one that ends soon;
learn how long one lives; look whether our address is right again. Each step asks the broker at
most once, within the limits of ``apps/brokers/tokens.py``.
"""

from __future__ import annotations

import datetime as dt

import structlog
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from apps.alerts.models import Severity
from apps.brokers import sessions, tokens
from apps.brokers.journal import boot_clock, boot_id, close_call
from apps.brokers.models import (
    AccessToken,
    BrokerAccount,
    BrokerSession,
    CallOutcome,
    LoginCredentials,
)
from apps.brokers.port import Address, Known, ReadFailed, Reporting
from apps.brokers.reporting import reports_of

log = structlog.get_logger(__name__)

LOOK_EVERY = dt.timedelta(seconds=10)  # between looks of ours on purpose


def due() -> list[int]:
    """Accounts whose session wants something done now. Three queries for any number of them."""
    now = timezone.now()
    in_force = AccessToken.objects.filter(retired_at=None).defer("value")
    by_account = {token.account_id: token for token in in_force}
    sessions_by_account = BrokerSession.objects.in_bulk(field_name="account_id")
    logins = set(LoginCredentials.objects.values_list("account_id", flat=True))
    return [
        account_id
        for account_id in sorted(by_account.keys() | logins)
        if _wants(by_account.get(account_id), sessions_by_account.get(account_id), now)
    ]


def _wants(token: AccessToken | None, session: BrokerSession | None, now: dt.datetime) -> bool:
    if session is None or session.minting_id is not None:
        return True
    resting = session.next_try_at is not None and session.next_try_at > now
    if _is_bad(token, session) or (token is not None and _ends_soon(token, now)):
        return not resting or _level(token, now) is not None
    unlearned = token is not None and token.learned_at is None
    return (unlearned or session.address_refused_at is not None) and _may_look(session, now)


def tend(account: BrokerAccount) -> None:
    """Do what the account's session wants. Being second is normal and does nothing."""
    try:
        with tokens.turn(account):
            try:
                _tend(account)
            finally:
                _warn(account)
    except (tokens.NotNow, tokens.NoToken) as why:
        log.info("session tended", account=account.name, why=str(why))


def _tend(account: BrokerAccount) -> None:
    session = sessions.session_of(account)
    if session.minting_id is not None and not _end_doubt(account, session):
        return
    session, token, now = sessions.session_of(account), account.token(), timezone.now()
    resting = session.next_try_at is not None and session.next_try_at > now
    if _is_bad(token, session):
        if not resting:
            _replace(account, token, session)
    elif token is not None and _ends_soon(token, now):
        if not resting:
            _renew(account, token)
    elif token is not None and _may_look(session, now):
        if token.learned_at is None:
            _look(account)
            _see_address(account)
        elif session.address_refused_at is not None:
            _see_address(account)


def _is_bad(token: AccessToken | None, session: BrokerSession) -> bool:
    return token is None or token.expired or session.refused_token_id == token.pk


def _ends_soon(token: AccessToken, now: dt.datetime) -> bool:
    if token.expires_at is None:
        return False
    return token.expires_at - now < dt.timedelta(seconds=settings.TOKEN_RENEW_BEFORE)


def _may_look(session: BrokerSession, now: dt.datetime) -> bool:
    return session.probed_at is None or now - session.probed_at > LOOK_EVERY


# --- new tokens -----------------------------------------------------------------------------


def _replace(account: BrokerAccount, token: AccessToken | None, session: BrokerSession) -> None:
    """Log in by itself, if possible. A refusal is confirmed first: a login ends a token.

    Where nobody can log in, a token whose end has passed may serve if the broker still takes it.
    """
    able = sessions.logs_in_by_itself(account)
    if token is not None and session.refused_token_id == token.pk:
        unsure = session.refused_last is None and not token.expired
    else:
        unsure = token is not None and not able
    if unsure and (not _may_look(session, timezone.now()) or _look(account) is not False):
        return
    if able:
        tokens.log_in_in_turn(account)


def _renew(account: BrokerAccount, token: AccessToken) -> None:
    if sessions.logs_in_by_itself(account):
        tokens.log_in_in_turn(account)
    elif token.can_be_renewed:
        tokens.renew_in_turn(account)


def _end_doubt(account: BrokerAccount, session: BrokerSession) -> bool:
    """Find out whether the token in force still counts; False while that is not known.

    A request that may still arrive at the broker can end it yet, so a yes counts only after that
    time; a no counts at once.
    """
    call = session.minting
    if call is None or not _may_look(session, timezone.now()):
        return call is None
    if not call.outcome:
        text = "whoever asked stopped before the answer came"
        close_call(call, outcome=CallOutcome.UNKNOWN, text=text)
    over = call.effect_is_over(timezone.now(), boot_id(), boot_clock())
    token = account.token()
    counts = False if token is None or token.expired else _look(account)
    if counts is None or (not over and (counts or token is None or token.expired)):
        return False
    log.warning("doubt about the token ended", account=account.name, counts=counts)
    if counts:
        tokens.count_failure(session, f"the answer to “{call.what}” was lost; the old token counts")
        return True
    BrokerSession.objects.filter(account=account, minting=call).update(minting=None)
    if token is not None:
        text = "a new one was asked for, and its answer was lost"
        sessions.refused(account, token.pk, text)
    return True


# --- looking --------------------------------------------------------------------------------


def _look(account: BrokerAccount) -> bool | None:
    """Does the broker accept the token in force? None: it did not say. Learns the token's life."""
    token = account.token()
    BrokerSession.objects.filter(account=account).update(probed_at=timezone.now())
    if token is None:
        return False
    try:
        ends = _end_told_by(reports_of(account, retries=False), account)
    except ReadFailed as error:
        return False if error.kind == "token" else None
    learn(token, ends)
    return True


def _end_told_by(books: Reporting, account: BrokerAccount) -> dt.datetime | None:
    """The broker's sandbox does not list the profile among its endpoints, so funds must do."""
    if account.environment == "sandbox":
        books.funds()
        return None
    profile = books.profile().value
    if profile.client_id != account.client_id:
        sessions.tell(
            account, "the token in force belongs to another client id: store the right one"
        )
    return profile.token_valid_until


def learn(token: AccessToken, ends: dt.datetime | None) -> None:
    """Keep the earliest end that anybody has told of a token that was accepted just now.

    An end that has passed is disproved by that.
    """
    now = timezone.now()
    known = [end for end in (token.expires_at, ends) if end is not None and end > now]
    token.expires_at, token.learned_at = min(known, default=None), now
    AccessToken.objects.filter(pk=token.pk).update(
        expires_at=token.expires_at, learned_at=token.learned_at
    )


def _see_address(account: BrokerAccount) -> None:
    """Where the broker sees us, and whether it takes orders from there."""
    now = timezone.now()
    session = BrokerSession.objects.filter(account=account)
    session.update(probed_at=now, address_checked_at=now)
    if account.environment == "sandbox":
        return
    try:
        found = reports_of(account, retries=False).address()
    except ReadFailed as error:
        log.info("address not read", account=account.name, error=str(error))
        return
    keep_address(account, found)


def keep_address(account: BrokerAccount, found: Known[Address]) -> None:
    """Keep what was read; an address that is right again ends the trouble."""
    if found.value.detected:
        BrokerSession.objects.filter(account=account).update(egress=found.value.detected)
    if found.value.orders_allowed or (
        found.value.orders_allowed is None and found.value.detected in found.value.registered
    ):
        sessions.address_accepted(account)


# --- warnings -------------------------------------------------------------------------------


def _level(token: AccessToken | None, now: dt.datetime) -> int | None:
    """The warning that is due: minutes before the end, 0 once it is over; None if none is."""
    if token is None or token.expires_at is None:
        return None
    left = token.expires_at - now
    passed = [level for level in (*settings.TOKEN_WARN_BEFORE, 0) if left <= _minutes(level)]
    level = min(passed, default=None)
    return None if level is None or (token.warned is not None and token.warned <= level) else level


def _minutes(count: int) -> dt.timedelta:
    return dt.timedelta(minutes=count)


def _warn(account: BrokerAccount) -> None:
    """Tell people once per level that the token ends and could not be renewed.

    That it has ended is no news of a token whose refusal they were told.
    """
    token = account.token()
    level = _level(token, timezone.now())
    if token is None or token.expires_at is None or level is None:
        return
    mine = AccessToken.objects.filter(pk=token.pk).filter(Q(warned=None) | Q(warned__gt=level))
    session = sessions.session_of(account)
    if not mine.update(warned=level) or session.refused_token_id == token.pk:
        return
    ends = timezone.localtime(token.expires_at)
    what = "has ended" if level == 0 else "ends soon"
    why = f" ({session.failure_text})" if session.failure_text else ""
    early = level > 0 and level == max(settings.TOKEN_WARN_BEFORE)
    sessions.tell(
        account,
        f"the access token {what}, {ends:%d %b %H:%M}, and has not been renewed{why}",
        Severity.WARNING if early else Severity.CRITICAL,
        what_next=True,
    )
