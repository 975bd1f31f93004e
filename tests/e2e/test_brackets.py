"""A bracket on the whole house: workers, beat, feed; and on the guard alone."""

from __future__ import annotations

import json
import time

import pytest

pytestmark = [pytest.mark.desk, pytest.mark.xdist_group("house")]
SHARE = {"segment": "NSE_EQ", "securityId": "2885"}


@pytest.fixture(autouse=True)
def market(house):
    house.until_healthy()
    house.exchange("walk", on=False)
    house.exchange("price", **SHARE, price=1400)


def asked_for(house, *more):
    done = house.manage(
        "place_bracket",
        "paper-1",
        "--instrument",
        "RELIANCE",
        "--side",
        "BUY",
        "--quantity",
        "10",
        "--price",
        "1401",
        "--stop-price",
        "1390",
        "--wait",
        "--json",
        *more,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def of(house, number):
    code = (
        "import json; from apps.orders.models import Bracket;"
        "from apps.orders.management.commands.place_bracket import shown;"
        f"bracket = Bracket.objects.get(pk={number});"
        "times = {leg.leg: (leg.order.opened_at - bracket.entered_at).total_seconds()"
        " for leg in bracket.legs.exclude(leg='ENTRY') if leg.order and leg.order.opened_at};"
        "print(json.dumps(shown(bracket) | {'seconds': times}))"
    )
    return json.loads(house.manage("shell", "--no-imports", "-c", code).stdout)


def until(house, number, done, seconds=40):
    deadline = time.monotonic() + seconds
    bracket = of(house, number)
    while not done(bracket):
        assert time.monotonic() < deadline, bracket
        time.sleep(0.3)
        bracket = of(house, number)
    return bracket


def statuses(bracket):
    return {leg["leg"]: leg["status"] for leg in bracket["legs"]}


def both_work(bracket):
    return [statuses(bracket)[leg] for leg in ("STOP_LOSS", "TARGET")] == ["WORKING", "WORKING"]


def test_the_exit_that_fills_cancels_the_other_one(house):
    bracket = asked_for(house, "--target-price", "1410")
    bracket = until(house, bracket["id"], both_work)
    print(f"\nexits at work {bracket['seconds']} s after the news of the fill")
    house.exchange("price", **SHARE, price=1412)
    bracket = until(house, bracket["id"], lambda now: now["status"] == "OVER")
    assert statuses(bracket) == {"ENTRY": "FILLED", "TARGET": "FILLED", "STOP_LOSS": "CANCELLED"}


def test_the_stop_trails_by_the_feed(house):
    bracket = asked_for(house, "--trailing-jump", "2")
    house.exchange("price", **SHARE, price=1405)
    house.exchange("price", **SHARE, price="1405.05")
    trailed = "stop 1394"
    bracket = until(house, bracket["id"], lambda now: trailed in now["what"])
    house.exchange("price", **SHARE, price=1392)
    until(house, bracket["id"], lambda now: now["status"] == "OVER")


def test_the_guard_keeps_a_bracket_when_the_workers_are_gone(house):
    bracket = asked_for(house, "--target-price", "1410")
    until(house, bracket["id"], both_work)
    stopped = house.signal(19, "celery", "worker")  # SIGSTOP
    assert stopped
    try:
        house.exchange("price", **SHARE, price=1412)
        bracket = until(house, bracket["id"], lambda now: now["status"] == "OVER", seconds=60)
    finally:
        house.signal(18, "celery", "worker")
    assert statuses(bracket)["STOP_LOSS"] == "CANCELLED"
