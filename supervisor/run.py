"""`make run`: everything from nothing to a desk in the browser, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from supervisor.account import postgres_account
from supervisor.attention import Attention, Leaving
from supervisor.doors import exchange_port, require_free
from supervisor.environment import EXTERNAL, child_environment, house_environment, persons_own
from supervisor.errors import HouseError
from supervisor.health import missing_at
from supervisor.house import House
from supervisor.keys import kept_secrets, write_env
from supervisor.lock import only_one
from supervisor.part import Part
from supervisor.parts import Plan, parts_of
from supervisor.places import Places
from supervisor.postgres import Postgres
from supervisor.programs import postgres_programs, valkey_program
from supervisor.say import say
from supervisor.valkey import Valkey


def run(
    given: Mapping[str, str],
    places: Places,
    choose: Callable[[Plan], list[Part]] = parts_of,
    missing: Callable[[str, int], dict[str, str]] = missing_at,
) -> int:
    attention = Attention()
    attention.listen()
    try:
        places.prepare()
        with only_one(places):
            own = persons_own(places, given)
            plan = make_plan(own, places)
            env = make_environment(own, plan, places)
            house = House(choose(plan), env, places.root, places.log, attention)
            return live(house, plan, places, lambda: missing(plan.host, plan.port))
    except HouseError as error:
        say(str(error))
        return error.code


def make_plan(own: Mapping[str, str], places: Places) -> Plan:
    host = own.get("HOST", "127.0.0.1")
    port = _port(own.get("PORT", "8000"))
    require_free(host, port)
    return Plan(
        host=host,
        port=port,
        exchange_port=exchange_port(places.var / "ports.json", places.digest),
        var=places.var,
        demo=own.get("DEMO", "1") not in {"0", "no", "false", "False"},
        postgres=None if "DATABASE_URL" in own else _postgres(places),
        valkey=None if "REDIS_URL" in own else _valkey(places),
    )


def make_environment(own: Mapping[str, str], plan: Plan, places: Places) -> dict[str, str]:
    stores = {name: own[name] for name in EXTERNAL if name in own}
    if plan.postgres:
        stores["DATABASE_URL"] = plan.postgres.url
    if plan.valkey:
        stores["REDIS_URL"] = plan.valkey.url
    kept = kept_secrets(places.var / "secrets.env")
    house = house_environment(own, kept | stores, plan)
    write_env(places.run_env, house)
    return child_environment(house, own)


def live(house: House, plan: Plan, places: Places, missing: Callable[[], dict[str, str]]) -> int:
    try:
        house.start()
        house.wait_until_healthy(missing)
        say(welcome(plan, places, house.shown))
        house.keep()
    except Leaving:
        say("\nstopping ...")
    except HouseError as error:
        say(str(error))
        return error.code
    finally:
        began = time.monotonic()
        house.stop()
        say(f"everything is stopped ({time.monotonic() - began:.1f} s)")
    return 0


def welcome(plan: Plan, places: Places, shown: list[str]) -> str:
    line = "-" * 72
    return "\n".join(
        [
            *("", line, f"  The desk is open:  http://localhost:{plan.port}/"),
            *(f"  {text}" for text in shown),
            f"  Logs:              {places.log}/<part>.log",
            *("  Ctrl-C stops everything.", line),
        ]
    )


def _postgres(places: Places) -> Postgres:
    account = postgres_account()
    home = places.postgres_home(account)
    programs = postgres_programs(account, home.parent / "postgres-programs")
    return Postgres(home, places.postgres_sockets(account), programs, account)


def _valkey(places: Places) -> Valkey:
    home = places.var / "valkey"
    return Valkey(home, places.valkey_sockets, valkey_program())


def _port(text: str) -> int:
    if text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise HouseError(f"PORT={text} is no port: choose a number such as PORT=8001 make run", code=2)
