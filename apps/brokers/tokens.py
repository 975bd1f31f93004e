"""Door 3: getting a new token. It can neither place an order nor read a book.

A new token ends the one before it, so one process at a time asks for an account (its *turn*), the
request is committed as the session's ``minting`` before the first byte leaves, and the new token is
committed before anybody can use it. A request whose answer is lost leaves ``minting`` set: until
somebody has looked which token counts (``apps/brokers/tending.py``), nobody asks again. That holds
for a lost reply and for a process that dies between the reply and the commit alike.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from apps.brokers import sessions, totp
from apps.brokers.journal import close_call, open_call
from apps.brokers.jwt import LONGEST
from apps.brokers.locks import turn_if_free
from apps.brokers.models import (
    AccessToken,
    BrokerAccount,
    BrokerSession,
    CallOutcome,
    LoginCredentials,
    TokenSource,
    Verb,
    WireCall,
)
from apps.brokers.port import (
    ConsentGiven,
    Consenting,
    Denial,
    Denied,
    Minted,
    Minting,
    NotSent,
    Tokens,
    Unknown,
)
from apps.brokers.registry import adapter_of

log = structlog.get_logger(__name__)

BUDGET = "TOKEN"
DESK = "the desk"  # who asks when no person does
HOUR = dt.timedelta(hours=1)
# "Token can be generated once every 2 minutes" (recorded); consents: authentication page.
LOGIN_SPACING = dt.timedelta(seconds=125)
CONSENTS_A_DAY = 25
FIRST_PAUSE, LONGEST_PAUSE = 30, 900  # seconds between tries that nobody asked for
MOST_AHEAD = 600.0  # seconds; a clock further off is broken, and no code would fit it
CODES = 2  # one-time codes refused in a row after which logins stop
WRITES = 5


class Way(StrEnum):
    """How a token is asked for; the journal's word for it."""

    RENEW = "renew token"
    LOGIN = "log in"
    ASK_CONSENT = "ask consent"
    USE_CONSENT = "use consent"


SOURCE = {
    Way.RENEW: TokenSource.RENEWED,
    Way.LOGIN: TokenSource.LOGIN,
    Way.USE_CONSENT: TokenSource.CONSENT,
}


class NotNow(Exception):
    """Nothing was asked; the text says why, and ``seconds`` when it can be, if that is known."""

    def __init__(self, text: str, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds


class NoToken(Exception):
    """It was asked, and there is no new token; the text says why and what is right."""


@contextmanager
def turn(account: BrokerAccount) -> Iterator[None]:
    """Be the only one who asks for a token of this account; raises ``NotNow``."""
    with turn_if_free(f"session:{account.name}") as mine:
        if not mine:
            raise NotNow("a token of this account is being asked for just now", 5)
        yield


def renew(account: BrokerAccount, by: str = DESK) -> AccessToken:
    """Exchange the token in force for a new one. Raises ``NotNow`` and ``NoToken``."""
    with turn(account):
        return renew_in_turn(account, by)


def renew_in_turn(account: BrokerAccount, by: str = DESK) -> AccessToken:
    """``renew`` for a caller that has the turn."""
    token = account.token()
    if token is None:
        raise NotNow("there is no token to renew; store one")
    if not token.renewable:
        raise NotNow("the broker does not renew this kind of token; get a new one")
    return _mint(account, Way.RENEW, by, lambda desk, before: desk.renew(before))


def log_in(account: BrokerAccount, by: str = DESK) -> AccessToken:
    """A new token for PIN and one-time code. Raises ``NotNow`` and ``NoToken``."""
    with turn(account):
        return log_in_in_turn(account, by)


def log_in_in_turn(account: BrokerAccount, by: str = DESK) -> AccessToken:
    """``log_in`` for a caller that has the turn."""
    login = _login_of(account)
    if not login.by_itself:
        raise NotNow("no PIN and TOTP secret are stored for this account")
    if login.stopped_at is not None:
        raise NotNow(f"logins are stopped ({login.stopped_text}); write PIN and TOTP secret anew")
    step, wait = totp.next_step(_ahead(account), login.totp_step)
    if wait:
        raise NotNow(f"each one-time code counts once, and the next comes in {wait:.0f} s", wait)
    code = totp.code_at(login.totp_secret, step)
    pin = str(login.pin)
    return _mint(account, Way.LOGIN, by, lambda desk, _: desk.log_in(pin, code), totp_step=step)


def _ahead(account: BrokerAccount) -> float:
    """By how much the broker's clock is ahead of ours, as far as that is known and believable."""
    ahead = sessions.session_of(account).clock_offset
    return ahead if ahead is not None and abs(ahead) < MOST_AHEAD else 0.0


def ask_consent(account: BrokerAccount, by: str = DESK) -> str:
    """Begin a login in the browser; the address of the broker's page for it.

    Raises ``NotNow`` and ``NoToken``.
    """
    login = _login_for_browser(account)
    with turn(account):
        call, _ = _write_down(account, Way.ASK_CONSENT, by)
        desk = adapter_of(account).tokens(call)
        answer: Consenting = desk.ask_consent(str(login.app_id), str(login.app_secret))
        _close(call, answer)
    if isinstance(answer, ConsentGiven):
        return answer.page
    raise NoToken(_words(answer))


def use_consent(account: BrokerAccount, token_id: str, by: str = DESK) -> AccessToken:
    """Complete a login in the browser. Raises ``NotNow`` and ``NoToken``."""
    login = _login_for_browser(account)
    app_id, app_secret = str(login.app_id), str(login.app_secret)
    with turn(account):
        return _mint(
            account,
            Way.USE_CONSENT,
            by,
            lambda desk, _: desk.use_consent(app_id, app_secret, token_id),
        )


def _login_of(account: BrokerAccount) -> LoginCredentials:
    login = LoginCredentials.objects.filter(account=account).first()
    if login is None:
        raise NotNow("nothing is stored to log in with; write it on the account's page")
    return login


def _login_for_browser(account: BrokerAccount) -> LoginCredentials:
    login = _login_of(account)
    if not login.in_browser:
        raise NotNow("no app id and secret are stored for this account")
    return login


# --- one request ----------------------------------------------------------------------------


def _mint(
    account: BrokerAccount,
    way: Way,
    by: str,
    ask: Callable[[Tokens, str], Minting],
    totp_step: int | None = None,
) -> AccessToken:
    """Write down, speak, settle. The caller has the turn. ``ask`` gets the token in force."""
    call, before = _write_down(account, way, by, totp_step)
    value = str(before.value) if before else ""
    answer = _own(account, ask(adapter_of(account).tokens(call), value))
    token = _insist(lambda: _settle(account, call, way, before, answer))
    log.info("token asked for", account=account.name, way=way, outcome=type(answer).__name__)
    if token is not None:
        return token
    if way is Way.RENEW and isinstance(answer, Denied) and answer.reason is Denial.TOKEN and before:
        sessions.refused(account, before.pk, answer.text)  # the one that was to be renewed
    raise NoToken(_words(answer))


def _own(account: BrokerAccount, answer: Minting) -> Minting:
    """A token of another client id is none for this account."""
    if isinstance(answer, Minted) and answer.client_id not in {None, account.client_id}:
        return Denied(Denial.OTHER, "the broker gave a token of another client id")
    return answer


@transaction.atomic(durable=True)
def _write_down(
    account: BrokerAccount, way: Way, by: str, totp_step: int | None = None
) -> tuple[WireCall, AccessToken | None]:
    """The request as a committed row, and the token in force then; raises ``NotNow``."""
    BrokerAccount.objects.select_for_update().get(pk=account.pk)
    session = sessions.session_of(account)
    if session.minting_id is not None:
        raise NotNow("an earlier request was left without an answer; which token counts is open")
    _check_limits(account, way)
    endpoint = account.rest_url if way is Way.RENEW else _login_of(account).auth_url
    call = open_call(account, Verb.TOKEN, way, budget=BUDGET, endpoint=endpoint, request={"by": by})
    if way is not Way.ASK_CONSENT:
        BrokerSession.objects.filter(pk=session.pk).update(minting=call)
    if totp_step is not None:
        LoginCredentials.objects.filter(account=account).update(totp_step=totp_step)
    return call, account.token()


def _check_limits(account: BrokerAccount, way: Way) -> None:
    """Counted from the journal, so that all processes and people share them; raises ``NotNow``."""
    now = timezone.now()
    made = WireCall.objects.filter(account=account, verb=Verb.TOKEN, what=way).exclude(
        outcome=CallOutcome.NOT_SENT
    )
    most, span = (
        (CONSENTS_A_DAY, 24 * HOUR)
        if way is Way.ASK_CONSENT
        else (settings.TOKEN_TRIES_PER_HOUR, HOUR)
    )
    times = list(made.filter(created_at__gt=now - span).values_list("created_at", flat=True))
    waits = [] if len(times) < most else [sorted(times)[-most] + span - now]
    if way is Way.LOGIN and times:
        waits.append(max(times) + LOGIN_SPACING - now)
    wait = max(waits, default=dt.timedelta(0))
    if wait > dt.timedelta(0):
        at = timezone.localtime(now + wait)
        text = f"it was tried {len(times)} times lately; the next try may be at {at:%H:%M:%S}"
        raise NotNow(text, wait.total_seconds())


def _settle(
    account: BrokerAccount,
    call: WireCall,
    way: Way,
    before: AccessToken | None,
    answer: Minting,
) -> AccessToken | None:
    """What came of it, in one transaction: after it, everybody reads the new token."""
    with transaction.atomic():
        BrokerAccount.objects.select_for_update().get(pk=account.pk)
        session = sessions.session_of(account)
        mine = session.minting_id == call.pk
        _close(call, answer)
        if isinstance(answer, Minted):
            return _take(account, way, before, answer)
        if isinstance(answer, Unknown) or not mine:
            return None
        count_failure(session, _words(answer))
        if isinstance(answer, Denied):
            _heed(account, way, before, answer)
    return None


def _take(
    account: BrokerAccount, way: Way, before: AccessToken | None, minted: Minted
) -> AccessToken | None:
    """Put the new token in force; one that a person stored meanwhile is their last word."""
    in_force = account.token()
    if (in_force.pk if in_force else None) != (before.pk if before else None):
        sessions.start_afresh(account)
        sessions.tell(account, "a token was stored while the desk asked for one: check the account")
        return in_force
    ends = minted.expires_at
    if ends is not None and not timezone.now() < ends < timezone.now() + LONGEST:
        ends = None  # a stamp that makes no sense says nothing
    token = AccessToken.put_in_force(account, minted.value, ends, SOURCE[way])
    sessions.start_afresh(account)
    LoginCredentials.objects.filter(account=account).update(refused_codes=0)
    return token


def count_failure(session: BrokerSession, text: str) -> None:
    """The request is over and brought no token: the pause before the next one doubles."""
    session.minting = None
    session.failures = min(session.failures + 1, 100)
    pause = min(FIRST_PAUSE * 2 ** min(session.failures - 1, 10), LONGEST_PAUSE)
    session.next_try_at = timezone.now() + dt.timedelta(seconds=pause)
    session.failure_text = text[:300]
    session.save(update_fields=["minting", "failures", "next_try_at", "failure_text"])


def _heed(account: BrokerAccount, way: Way, before: AccessToken | None, denied: Denied) -> None:
    """A no that asking again cannot change stops further asking."""
    if way is Way.RENEW and denied.reason is Denial.KIND and before is not None:
        AccessToken.objects.filter(pk=before.pk).update(renewable=False)
    if way is not Way.LOGIN or denied.reason is Denial.TOO_SOON:
        return
    login = LoginCredentials.objects.filter(account=account)
    login.update(refused_codes=F("refused_codes") + 1)
    if denied.reason is Denial.CODE and login.filter(refused_codes__lt=CODES).exists():
        return  # the broker takes no code twice, and none that arrives late: the next may be right
    login.update(stopped_at=timezone.now(), stopped_text=denied.text[:300])
    sessions.tell(
        account,
        f"the broker refuses the login ({denied.text}). Nobody tries again until PIN and TOTP "
        "secret are written anew on the account's page.",
    )


def _close(call: WireCall, answer: Minting | Consenting) -> None:
    outcomes = {
        Minted: CallOutcome.ACCEPTED,
        ConsentGiven: CallOutcome.ACCEPTED,
        Denied: CallOutcome.REFUSED,
        NotSent: CallOutcome.NOT_SENT,
        Unknown: CallOutcome.UNKNOWN,
    }
    text = "" if isinstance(answer, Minted | ConsentGiven) else _words(answer)
    close_call(call, outcome=outcomes[type(answer)], http_status=call.http_status, text=text)


def _words(answer: Minting | Consenting) -> str:
    match answer:
        case Denied(text=text):
            return f"the broker gave no token: {text}"
        case NotSent(why=why):
            return f"it was not asked: {why}"
        case Unknown(why=why):
            return f"nobody knows what came of it: {why}"
    return "another token is in force by now"


def _insist(write: Callable[[], AccessToken | None]) -> AccessToken | None:
    """A new token exists in this process alone until it is committed: try hard."""
    for attempt in range(WRITES):
        try:
            return write()
        except OperationalError:
            if attempt == WRITES - 1:
                raise
            log.warning("writing the token again", attempt=attempt)
            connection.close_if_unusable_or_obsolete()
            time.sleep(0.2 * 2**attempt)
    return None
