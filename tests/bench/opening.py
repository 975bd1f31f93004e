"""Make the account that is measured: at our exchange with much money, or at another one.

Its policy neither checks the margin nor keeps a band around the last price: each would be a call to
the broker before an entry, with other quantities every time, and be measured instead of the desk.
"""

from __future__ import annotations

import argparse
import time
from decimal import Decimal

import requests

from apps.alerts.raising import seconds_since
from apps.brokers.finding import find_instrument
from apps.brokers.models import BrokerAccount
from apps.risk.models import RiskPolicy
from tests.bench.desk import Desk
from tests.house import House

CLIENT_ID, TOKEN, BALANCE = "1000000077", "token-77", 10**9


def open_desk(house: House, options: argparse.Namespace) -> Desk:
    """One account with wide limits, whose feed is heard (unless it is another's)."""
    simulator = "" if options.target else house.env["SIMEXCHANGE_URL"]
    if simulator:
        rest, feed = f"{simulator}/v2", f"ws://{simulator.partition('//')[2]}/order-update"
        client_id, token = CLIENT_ID, TOKEN
        _prepare(simulator)
    else:
        rest, feed = options.target.rstrip("/"), options.feed
        client_id, token = options.client_id, options.token
    done = house.manage(
        "create_account", "bench", "--client-id", client_id,
        "--rest-url", rest, "--feed-url", feed,
        "--calendar", "always_open" if simulator else "exchange", stdin=token,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    account = BrokerAccount.objects.get(name="bench")
    wide = {"max_open_orders__gte": 10_000, "check_margin": False, "price_band_percent": None}
    if not RiskPolicy.objects.filter(account=account, **wide).exists():
        raise RuntimeError("the account's limits are not wide: the house ignored RISK_*")
    if simulator:
        _wait_for_feed()
    return Desk(account, find_instrument(options.instrument), Decimal(options.price), simulator)


def _prepare(simulator: str) -> None:
    """No limits, a market that stands still, and an account that never runs out of money."""
    for path, body in (
        ("limits", {"on": False}),
        ("walk", {"on": False}),
        ("accounts", {"client_id": CLIENT_ID, "token": TOKEN, "balance": BALANCE}),
    ):
        requests.post(f"{simulator}/_sim/{path}", json=body, timeout=5).raise_for_status()


def _wait_for_feed(patience: float = 15) -> None:
    deadline = time.monotonic() + patience
    while seconds_since("feed:bench") is None:
        if time.monotonic() > deadline:
            raise RuntimeError("nobody listens to the account's order updates")
        time.sleep(0.2)
