"""What every process of the house finds in its environment."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, MutableMapping

from supervisor.keys import read_env
from supervisor.parts import Plan
from supervisor.places import ROOT, Places

EXTERNAL = ("DATABASE_URL", "REDIS_URL")  # a person may name servers of their own
LOOPBACK = "localhost,127.0.0.1"


def persons_own(places: Places, given: Mapping[str, str]) -> dict[str, str]:
    """What the person set in the shell or in .env; the shell wins, as in the settings."""
    return read_env(places.root / ".env") | dict(given)


def house_environment(
    own: Mapping[str, str], kept: Mapping[str, str], plan: Plan
) -> dict[str, str]:
    """What a person set stays; the rest is ours."""
    hosts = [*LOOPBACK.split(","), *([] if plan.host in LOOPBACK else [plan.host])]
    ours = {
        **kept,
        "DEBUG": "False",
        "ALLOWED_HOSTS": ",".join(hosts),
        "DJANGO_SETTINGS_MODULE": "tradingops.settings",
        "SIMEXCHANGE_URL": f"http://127.0.0.1:{plan.exchange_port}",
        "STATIC_ROOT": str(plan.var / "static"),
        "REQUIRE_SECOND_FACTOR": "False",  # a first run stays two clicks
    }
    return {name: own.get(name, value) for name, value in ours.items()}


def child_environment(house: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """For a process of the house. PG* of the shell would bend the way to our own server."""
    foreign = () if "DATABASE_URL" in given else ("PG",)
    rest = {name: value for name, value in given.items() if not name.startswith(foreign)}
    past_proxies = ",".join(filter(None, (given.get("no_proxy"), LOOPBACK)))
    return {
        **rest,
        **house,
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": past_proxies,
        "no_proxy": past_proxies,
    }


def load_into(environ: MutableMapping[str, str], places: Places | None = None) -> None:
    """Fill the gaps from the running house, so that manage.py works in another terminal."""
    for name, value in read_env((places or Places(ROOT)).run_env).items():
        environ.setdefault(name, value)


def exports(places: Places) -> str:
    pairs = read_env(places.run_env).items()
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in pairs)
