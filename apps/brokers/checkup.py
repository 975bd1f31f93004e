"""Is this account ready? Every trouble in one sentence that says what to do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from django.utils import timezone

from apps.brokers import readiness, tending
from apps.brokers.models import AccessToken, BrokerAccount, LoginCredentials
from apps.brokers.port import Funds, Known, Position, Profile, ReadFailed, Reporting
from apps.brokers.readiness import Light
from apps.brokers.reporting import reports_of

SOON = dt.timedelta(hours=2)

_SENTENCES = {
    "token": "The broker does not accept the token; run: manage.py store_token {name}.",
    "address": "The broker refuses this machine's IP address; register it with the broker.",
    "access": "The broker does not allow this account to use the interface.",
    "network": "The broker cannot be reached at {url}; check the address and the network.",
    "refused": "The broker refuses to answer at {url}; is this the right address?",
    "answer": "What answers at {url} does not speak the broker's language; check the address.",
    "schema": "The broker's answer does not have the form that we know.",
    "server": "The broker has trouble of its own; try again.",
    "rate": "The broker counts too many calls; try again in a minute.",
    "budget": "Too many calls to the broker are under way; try again.",
}


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    check: str
    ok: bool
    text: str


def check_account(account: BrokerAccount) -> list[Finding]:
    """Token, profile, address, funds and positions, then what readiness makes of it all.

    Stops asking once the broker cannot be talked to.
    """
    findings = [_token(account.token(), account)]
    if findings[0].ok:
        findings += _asked(account)
    return [*findings, _renewal(account), *_readiness(account)]


def _asked(account: BrokerAccount) -> list[Finding]:
    findings: list[Finding] = []
    for check, read in _reads(account):
        try:
            findings.append(read())
        except ReadFailed as error:
            findings.append(Finding(check, False, _sentence(account, error)))
            if error.kind in {"token", "network", "answer"}:
                break
    return findings


def _token(token: AccessToken | None, account: BrokerAccount) -> Finding:
    if token is None:
        text = f"There is no access token; run: manage.py store_token {account.name}."
        return Finding("token", False, text)
    if token.expired:
        text = f"The access token has expired; run: manage.py store_token {account.name}."
        return Finding("token", False, text)
    return _until("token", token.expires_at, "stored")


def _until(check: str, ends: dt.datetime | None, prefix: str) -> Finding:
    if ends is None:
        return Finding(check, True, f"{prefix}, life not known")
    local = timezone.localtime(ends)
    if ends - timezone.now() < SOON:
        return Finding(check, False, f"The access token ends soon, {local:%d %b %H:%M}; renew it.")
    return Finding(check, True, f"{prefix}, valid until {local:%d %b %Y %H:%M}")


def _reads(account: BrokerAccount) -> list[tuple[str, Callable[[], Finding]]]:
    books = reports_of(account)
    reads: list[tuple[str, Callable[[], Finding]]] = [
        ("funds", lambda: _funds(books.funds())),
        ("positions", lambda: _positions(books.positions())),
    ]
    # The broker's sandbox lists neither of these among its endpoints.
    if account.environment != "sandbox":
        reads.insert(0, ("profile", lambda: _profile(account, books.profile())))
        reads.append(("address", lambda: _address(account, books)))
    return reads


def _profile(account: BrokerAccount, known: Known[Profile]) -> Finding:
    if known.value.client_id != account.client_id:
        text = "The token belongs to another client id than this account's; store the right one."
        return Finding("profile", False, text)
    token = account.token()
    if token is not None:
        tending.learn(token, known.value.token_valid_until)
    return _until("profile", known.value.token_valid_until, f"client {account.client_id}")


def _address(account: BrokerAccount, books: Reporting) -> Finding:
    """Reads are allowed from anywhere, so a list that cannot be read is no trouble in itself."""
    try:
        known = books.address()
    except ReadFailed as error:
        return Finding("address", True, f"the broker does not tell where it sees us ({error})")
    tending.keep_address(account, known)
    found = known.value
    where = f"the broker sees us at {found.detected or 'an address that it does not tell'}"
    if found.orders_allowed is False:
        return Finding("address", False, f"{where} and takes no orders from there; register it.")
    return Finding("address", True, where)


def _renewal(account: BrokerAccount) -> Finding:
    """How the next token will come; a login that was refused is a trouble."""
    login = LoginCredentials.objects.filter(account=account).first()
    if login is not None and login.stopped_at is not None:
        text = f"Logins are stopped ({login.stopped_text}); write PIN and TOTP secret anew."
        return Finding("renewal", False, text)
    if login is not None and login.by_itself:
        return Finding("renewal", True, "by a login with PIN and TOTP, before the token ends")
    token = account.token()
    if token is not None and token.can_be_renewed:
        return Finding("renewal", True, "by asking the broker, before the token ends")
    return Finding("renewal", True, "by a person: this token cannot be renewed")


def _readiness(account: BrokerAccount) -> list[Finding]:
    try:
        found = readiness.findings_of(account)
    except readiness.NoChecks as error:
        return [Finding("ready", False, str(error))]
    return [
        Finding(f"ready:{one.check}", one.light is not Light.RED, f"{one.light}: {one.reason}")
        for one in found
    ]


def _funds(known: Known[Funds]) -> Finding:
    return Finding("funds", True, f"available ₹{known.value.available:,.2f}")


def _positions(known: Known[list[Position]]) -> Finding:
    held = [position for position in known.value if position.net_quantity]
    return Finding("positions", True, f"{len(held)} open, {len(known.value)} in the list")


def _sentence(account: BrokerAccount, error: ReadFailed) -> str:
    sentence = _SENTENCES.get(error.kind, "The broker did not answer usefully.")
    return f"{sentence.format(name=account.name, url=account.rest_url)} ({error})"
