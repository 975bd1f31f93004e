"""The desk under attack: its accounts, a source of signals, and a person who may trade."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import connection

from apps.brokers.accounts import create_account
from apps.brokers.finding import find_instrument
from apps.brokers.models import BrokerAccount, CalendarKind, Instrument
from apps.brokers.readiness import reasons_against
from apps.people import roles
from apps.risk.models import RiskPolicy
from apps.signals.models import SignalSource
from apps.signals.sources import open_source
from tests.bench.signals import key_of
from tests.chaos.plan import POOR, RICH, Ask
from tests.house import House

MUCH, LITTLE = 10**9, 20_000  # rupees
PERSON, PASSWORD = "chaos", "correct horse battery"


@dataclass
class Desk:
    """What the ways in need."""

    house: House
    accounts: dict[str, BrokerAccount]
    instruments: dict[str, Instrument]
    hook: str
    key: bytes

    @property
    def client_ids(self) -> set[str]:
        return {account.client_id for account in self.accounts.values()}


def open_desk(house: House, asks: list[Ask], mix: dict[str, Any]) -> Desk:
    """Accounts with much money and one with little, all heard by the streams.

    ``drop`` of the mix is SQL that takes fences out of this house's database, for a proof without
    them; ``pieces`` lets the fills of an account come in parts; orders above ``freeze_quantity``
    are sliced.
    """
    for path, on in (("limits", False), ("walk", True)):
        house.exchange(path, on=on)
    with connection.cursor() as cursor:
        for statement in mix.get("drop", []):
            cursor.execute(statement)
    names = (*RICH, POOR)
    accounts = {name: _account(house, name, number) for number, name in enumerate(names, 81)}
    source = SignalSource(name="chaos", account=accounts[RICH[0]], entry_lifetime=180)
    secret = open_source(source)
    source.others.set(accounts.values())
    person = User.objects.create_user(PERSON, "", PASSWORD, is_staff=True)
    roles.give(person, roles.TRADER)
    if mix["pieces"]:
        house.exchange("pieces", **mix["pieces"])
    if mix["freeze_quantity"]:
        Instrument.objects.update(freeze_quantity=mix["freeze_quantity"])
    traded = {name: find_instrument(name) for name in {ask.instrument for ask in asks}}
    _wait_until_ready(accounts.values())
    return Desk(house, accounts, traded, house.url + source.path, key_of(str(secret)))


def _account(house: House, name: str, number: int) -> BrokerAccount:
    simulator = house.env["SIMEXCHANGE_URL"]
    client_id, token = f"10000000{number}", f"token-{number}"
    balance = LITTLE if name == POOR else MUCH
    house.exchange("accounts", client_id=client_id, token=token, balance=balance)
    columns: dict[str, Any] = {
        "name": name,
        "broker": "dhan",
        "client_id": client_id,
        "rest_url": f"{simulator}/v2",
        "feed_url": f"ws://{simulator.partition('//')[2]}/order-update",
        "calendar": CalendarKind.ALWAYS_OPEN,
    }
    account = create_account(BrokerAccount(**columns), token)
    if name == POOR:
        _ask_no_margin(account)
    return account


def _ask_no_margin(account: BrokerAccount) -> None:
    """So that it is the exchange that finds out that there is no money, not the gate."""
    policy = RiskPolicy.objects.filter(account=account).latest("version")
    policy.pk, policy.version, policy.check_margin = None, policy.version + 1, False
    policy.save(force_insert=True)


def _wait_until_ready(accounts: Iterable[BrokerAccount], patience: float = 60) -> None:
    """Their order updates are heard and their books were read: they take entries."""
    deadline = time.monotonic() + patience
    for account in accounts:
        while reasons := reasons_against(account):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{account} takes no entries: {', '.join(reasons)}")
            time.sleep(0.2)
