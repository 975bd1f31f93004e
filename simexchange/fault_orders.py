"""Reads orders for failure, and schedules of them, from the control API or from a file."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random

from simexchange.asking import Asked, BadControlError
from simexchange.faults import (
    ALL_FAULTS,
    ENDPOINTS,
    FEED_FAULTS,
    LEG_FAULTS,
    LEGS,
    ONLY_AT,
    OUTAGES,
    PACKET_FAULTS,
    Fault,
)
from simexchange.journal import StartError
from simexchange.money import ZERO

FIELDS = (
    "fault",
    "endpoint",
    "client_id",
    "times",
    "probability",
    "seconds",
    "lasts",
    "accept",
    "status",
)
TIMES = ("at", "every", "until")
Plan = list[tuple[float, Fault]]
"""Faults by the second, from the start of the schedule, in which each is ordered."""


def read_fault(asked: Asked) -> Fault:
    """One fault. The caller has checked that nothing else is asked."""
    name = asked.choice("fault", ALL_FAULTS)
    return Fault(
        fault=name,
        endpoint=_endpoint(asked, name),
        client_id=asked.maybe_text("client_id"),
        times=asked.whole("times"),
        probability=_float(asked.number("probability", ZERO, Decimal(1)), 1.0),
        seconds=_maybe_float(asked.number("seconds", ZERO)),
        lasts=_maybe_float(asked.number("lasts", ZERO)),
        accept=asked.flag("accept", False),
        status=asked.whole("status"),
    )


def read_plan(body: object, seed: int) -> Plan:
    """A schedule, `{"seed"?, "entries": [...]}`, worked out: the same seed gives the same plan.

    An entry is a fault with `at`, the second in which it is ordered (0). With `every` it comes
    again and again, so many seconds apart on average (half to one and a half times), `until`.
    """
    asked = Asked(body)
    asked.only("seed", "entries")
    seed = asked.whole("seed") or seed
    plan: Plan = []
    for number, row in enumerate(asked.rows("entries"), 1):
        try:
            plan += _repeated(Asked(row), Random(f"{seed}/schedule/{number}"))
        except BadControlError as refusal:
            raise BadControlError(f"entries: number {number}: {refusal}") from refusal
    return sorted(plan, key=lambda moment: moment[0])


def read_file(path: Path | None, seed: int) -> Plan:
    """The schedule of a file; no file is an empty one."""
    if path is None:
        return []
    try:
        return read_plan(json.loads(path.read_text()), seed)
    except (ValueError, BadControlError) as fault:
        raise StartError(f"{path}: {fault}") from fault


def _repeated(asked: Asked, chance: Random) -> Plan:
    asked.only(*FIELDS, *TIMES)
    fault, second = read_fault(asked), _float(asked.number("at", ZERO), 0.0)
    every, until = asked.number("every", Decimal("0.1")), asked.number("until", ZERO)
    if every is None:
        return [(second, fault)]
    if until is None:
        raise BadControlError("until: the last second is needed with every")
    found: Plan = []
    second += float(every) * chance.random()
    while second <= until:
        found.append((round(second, 3), replace(fault)))
        second += float(every) * chance.uniform(0.5, 1.5)
    return found


def _endpoint(asked: Asked, name: str) -> str:
    if name in FEED_FAULTS:
        return asked.choice("endpoint", (LEGS, "any"), "any")
    if name in (*PACKET_FAULTS, *LEG_FAULTS, *OUTAGES):
        return "any"
    own = ONLY_AT.get(name)
    return asked.choice("endpoint", (*own, "any") if own else ENDPOINTS, "any")


def _float(value: Decimal | None, default: float) -> float:
    return default if value is None else float(value)


def _maybe_float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
