"""A plan follows from its seed, and holds what its mix asks for."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from simexchange.fault_orders import read_plan
from tests.chaos.__main__ import MIX
from tests.chaos.blows import LOCKS, PARTS, STORES
from tests.chaos.launch.mutations import MUTATIONS
from tests.chaos.mutants import CONTROL, MUTANTS
from tests.chaos.plan import make, shown
from tests.chaos.ways import WAYS

STANDARD = json.loads(MIX.read_text())


def plan(seed: int = 1, orders: int = 500, **different):
    return make(orders, seed, orders / 4, STANDARD | different)


def test_the_same_seed_is_the_same_run_and_another_seed_another():
    assert shown(plan(3)) == shown(plan(3)) != shown(plan(4))
    assert plan(3).weather["seed"] == 3


def test_a_run_has_as_many_orders_as_were_asked_for_in_its_time():
    asks = plan(orders=200).asks
    assert [ask.number for ask in asks] == list(range(1, 201))
    assert asks[-1].at == pytest.approx(45)


def test_a_run_takes_every_way_in_every_kind_of_order_and_several_accounts():
    asks = plan().asks
    assert {ask.way for ask in asks} == set(WAYS)
    assert len({ask.account for ask in asks}) == 4
    assert {ask.order_type for ask in asks} == {"LIMIT", "MARKET", "STOP_LIMIT"}
    assert {ask.validity for ask in asks} == {"DAY", "IOC"}
    assert {ask.intent for ask in asks} == {"ENTRY", "EXIT"}
    assert {step.what for ask in asks for step in ask.then} == {
        *("cancel", "modify", "fill", "leave")
    }
    assert {deed.what for deed in plan().deeds} == {"close", "close_part", "hand", "kill"}


def test_a_run_deals_every_blow_before_it_deals_one_again_too_often():
    dealt = Counter(f"{blow.what} {blow.target}" for blow in plan(orders=2000).blows)
    assert dealt.keys() == STANDARD["blows"].keys()
    for card, count in STANDARD["blows"].items():
        assert dealt[card] >= count


def test_every_blow_has_its_target():
    targets = {"kill": PARTS, "freeze": PARTS, "restart": STORES, "lock": LOCKS}
    for card in STANDARD["blows"]:
        what, _, target = card.partition(" ")
        assert target in targets[what]


def test_the_weather_is_a_schedule_that_the_exchange_takes():
    found = plan()
    ordered = read_plan(found.weather, 1)
    assert len(ordered) > len(STANDARD["faults"])
    assert max(second for second, _ in ordered) <= found.seconds


def test_every_mutant_is_made_of_known_bugs_and_provocations_of_a_plan_that_can_be_made():
    for mutant in MUTANTS:
        assert set(mutant.mutations) <= MUTATIONS.keys()
        read_plan(make(20, 1, 10, STANDARD | mutant.mix).weather, 1)
    bugs = {name for mutant in MUTANTS for name in mutant.mutations if not name.startswith("when")}
    assert bugs == {name for name in MUTATIONS if not name.startswith("when")}
    control = next(mutant for mutant in MUTANTS if mutant.name == CONTROL)
    assert all(name.startswith("when") for name in control.mutations)
