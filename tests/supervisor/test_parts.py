"""The list of parts, as a person chose it."""

from __future__ import annotations

from pathlib import Path

from supervisor.house import STOP_WITHIN
from supervisor.part import Part, Tier
from supervisor.parts import Plan, parts_of
from supervisor.postgres import Postgres
from supervisor.valkey import Valkey

OWN = {
    "postgres": Postgres(Path("/v/postgres"), Path("/v/postgres/s"), Path("/usr/bin"), None),
    "valkey": Valkey(Path("/v/valkey"), Path("/v/valkey"), "valkey-server"),
}


def parts(host: str = "127.0.0.1", demo: bool = True, **stores: object) -> dict[str, Part]:
    plan = Plan(
        host, 8000, 20001, Path("/v"), demo, **({"postgres": None, "valkey": None} | stores)
    )
    return {part.name: part for part in parts_of(plan)}


def test_the_stores_come_first_and_the_steps_before_what_needs_them():
    names = list(parts(**OWN))
    assert names[:2] == ["postgres", "valkey"]
    assert names.index("migrate") < names.index("bootstrap_demo") < names.index("web")
    assert names.index("simexchange") < names.index("bootstrap_demo")


def test_a_server_that_the_person_named_is_not_started():
    assert {"postgres", "valkey"} & set(parts()) == set()


def test_the_demo_trader_can_be_left_out():
    assert "demo_trader" in parts()
    assert "demo_trader" not in parts(demo=False)


def test_web_listens_where_the_person_said():
    assert parts(host="0.0.0.0")["web"].argv[3:7] == ("-b", "0.0.0.0", "-p", "8000")


def test_exits_have_a_worker_of_their_own():
    queues = [
        part.argv[part.argv.index("-Q") + 1] for part in parts().values() if "-Q" in part.argv
    ]
    assert queues == ["entries", "exits", "reads,housekeeping"]


def test_every_tier_fits_into_ten_seconds():
    graces = {tier: max(p.grace for p in parts(**OWN).values() if p.tier == tier) for tier in Tier}
    assert sum(graces.values()) <= STOP_WITHIN < 10
