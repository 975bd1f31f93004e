"""Above the freeze quantity, through real workers, while one of them is killed."""

from __future__ import annotations

import json
import time

import pytest

from tests.house import House

pytestmark = [pytest.mark.desk, pytest.mark.xdist_group("house")]
FREEZE = (
    "from apps.brokers.models import Instrument;"
    "print(Instrument.objects.filter(symbol='{}', segment='NSE_EQ').update(freeze_quantity={}))"
)
RESTING = ("--side", "BUY", "--type", "LIMIT", "--price", "3200", "--product", "INTRADAY")


@pytest.fixture(autouse=True)
def frozen(house: House):
    """At most one TCS in an order, as far as the desk knows."""
    house.until_healthy()
    house.exchange("walk", on=False)
    house.exchange("price", segment="NSE_EQ", securityId="11536", price=3345)
    said = house.manage("shell", "--no-imports", "-c", FREEZE.format("TCS", 1))
    assert said.stdout.strip() == "1", said.stderr
    yield
    house.manage("shell", "--no-imports", "-c", FREEZE.format("TCS", 150_000))


def ask(house: House, quantity: int, *more: str):
    words = ("place_order", "paper-1", "--instrument", "NSE_EQ:TCS", "--json", *RESTING)
    done = house.manage(*words, "--quantity", str(quantity), *more)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def look(house: House, whole):
    done = house.manage("slices", "show", whole["id"], "--json")
    return json.loads(done.stdout)


def at_the_exchange(house: House, whole) -> int:
    taken = [house.accepted(row["correlation_id"]) for row in whole["slices"]]
    assert max(map(len, taken)) <= 1, "a slice was doubled"
    return sum(map(len, taken))


def test_the_workers_place_slice_after_slice(house):
    began = time.monotonic()
    whole = ask(house, 6, "--wait")
    print(f"six slices in {time.monotonic() - began:.1f} s, the command's start included")
    assert whole["status"] == "PLACED"
    assert [row["status"] for row in whole["slices"]] == ["OPEN"] * 6
    assert at_the_exchange(house, whole) == 6
    done = house.manage(
        "slices", "cancel", whole["id"], "--as", "trader", "--reason", "seen enough"
    )
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 30
    while {row["status"] for row in whole["slices"]} != {"CANCELLED"}:
        assert time.monotonic() < deadline, whole
        time.sleep(0.5)
        whole = look(house, whole)
    assert whole["status"] == "DROPPED"


def test_a_worker_killed_half_way_loses_and_doubles_nothing(house):
    whole = ask(house, 25)
    time.sleep(0.4)
    assert house.kill("worker@%h") >= 1
    deadline = time.monotonic() + 90
    while True:
        whole = look(house, whole)
        unsure = {"SENDING", "UNKNOWN", "APPROVED", "SUBMITTED"}
        settled = not unsure & {row["status"] for row in whole["slices"]}
        if whole["status"] != "PLACING" and settled:
            break
        assert time.monotonic() < deadline, whole
        time.sleep(0.5)
    assert at_the_exchange(house, whole) + whole["left"] == 25
    assert whole["at_work"] + whole["left"] == 25
