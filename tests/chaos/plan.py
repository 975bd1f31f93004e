"""What a run asks for and what befalls the house meanwhile: all of it follows from the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from simexchange import instruments
from simexchange.instruments import Instrument
from simexchange.money import tick_below

RICH = ("chaos-1", "chaos-2", "chaos-3")
POOR = "chaos-poor"
"""An account whose larger orders the exchange takes and then rejects: there is no money."""
POOR_SHARE = 0.04
FIRST_BLOW, LAST_ASK = 1.5, 0.9  # seconds; share of the run
KILLED, KILLED_AT = "chaos-3", 0.92  # the account whose kill switch is pulled; share of the run


@dataclass(frozen=True)
class Step:
    """Something done to an order, so many seconds after it was asked for."""

    after: float
    what: str


@dataclass(frozen=True)
class Ask:
    """One order to ask for, in the second ``at``."""

    number: int
    at: float
    way: str
    account: str
    instrument: str
    side: str
    quantity: int
    order_type: str
    price: Decimal | None
    trigger_price: Decimal | None
    validity: str
    intent: str
    then: tuple[Step, ...]

    @property
    def mark(self) -> str:
        """The order's strategy, and the key under which it can be placed only once."""
        return f"chaos-{self.number}"


@dataclass(frozen=True)
class Blow:
    """Something done to the house, in the second ``at``; it may last some seconds."""

    at: float
    what: str
    target: str
    seconds: float


@dataclass(frozen=True)
class Deed:
    """Something that a person does, in the second ``at``: a position to be closed, a trade at the
    broker's own page, or the kill switch of an account."""

    at: float
    what: str
    account: str
    instrument: str = ""
    side: str = ""
    quantity: int = 0


@dataclass(frozen=True)
class Plan:
    """A whole run. ``weather`` is a schedule for the simulated exchange."""

    seconds: float
    asks: Sequence[Ask]
    blows: Sequence[Blow]
    deeds: Sequence[Deed]
    weather: dict[str, Any]


def make(orders: int, seed: int, seconds: float, mix: dict[str, Any]) -> Plan:
    """The same arguments give the same plan."""
    until = seconds * LAST_ASK
    chance = Random(f"{seed}/asks")
    traded = [row for row in instruments.load(None).values() if row.is_equity]
    asks = [
        _ask(number, round(until * number / orders, 3), chance, traded, mix)
        for number in range(1, orders + 1)
    ]
    entries = [_until(entry, seconds) for entry in mix["faults"]]
    weather = {"seed": seed, "entries": entries}
    return Plan(
        seconds, asks, _blows(seed, seconds, mix), _deeds(asks, seed, seconds, mix), weather
    )


def _until(entry: dict[str, Any], seconds: float) -> dict[str, Any]:
    return {"until": round(seconds, 1), **entry} if "every" in entry else entry


def _ask(
    number: int, at: float, chance: Random, traded: list[Instrument], mix: dict[str, Any]
) -> Ask:
    way, kind = _one_of(mix["ways"], chance), _one_of(mix["orders"], chance)
    instrument = chance.choice(traded)
    terms = _KINDS[kind](instrument, chance)
    account = POOR if chance.random() < POOR_SHARE else chance.choice(RICH)
    return Ask(
        number=number,
        at=at,
        way=way,
        account=account,
        instrument=f"{instrument.segment}:{instrument.symbol}",
        then=_steps(kind, chance, mix["steps"]),
        **({"trigger_price": None, "validity": "DAY", "intent": "ENTRY"} | terms),
    )


def _one_of(weights: dict[str, float], chance: Random) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _near(instrument: Instrument, percent: float, side: str) -> Decimal:
    """So many per cent beyond the previous close, seen from the side: above it for a buyer."""
    away = Decimal(str(percent if side == "BUY" else -percent)) / 100
    return tick_below(instrument.close * (1 + away), instrument.tick)


def _limit(
    instrument: Instrument, chance: Random, percent: tuple[float, float], most: int
) -> dict[str, Any]:
    side = chance.choice(("BUY", "SELL"))
    price = _near(instrument, round(chance.uniform(*percent), 2), side)
    return {
        "side": side,
        "quantity": chance.randint(1, most),
        "order_type": "LIMIT",
        "price": price,
    }


def _resting(instrument: Instrument, chance: Random) -> dict[str, Any]:
    return _limit(instrument, chance, (-6, -2), 60)


def _crossing(instrument: Instrument, chance: Random) -> dict[str, Any]:
    return _limit(instrument, chance, (1, 3), 60)


def _large(instrument: Instrument, chance: Random) -> dict[str, Any]:
    """More than the street has at the price: a part fills, a part may rest."""
    return _limit(instrument, chance, (0, 0.3), 60) | {"quantity": chance.randint(800, 3000)}


def _at_once(instrument: Instrument, chance: Random) -> dict[str, Any]:
    return _large(instrument, chance) | {"validity": "IOC"}


def _market(instrument: Instrument, chance: Random) -> dict[str, Any]:
    return _limit(instrument, chance, (0, 0), 40) | {"order_type": "MARKET", "price": None}


def _stop(instrument: Instrument, chance: Random) -> dict[str, Any]:
    terms = _limit(instrument, chance, (3, 4), 40)
    trigger = _near(instrument, round(chance.uniform(1, 3), 2), terms["side"])
    return terms | {"order_type": "STOP_LIMIT", "trigger_price": trigger}


def _exit(instrument: Instrument, chance: Random) -> dict[str, Any]:
    """Denied when there is nothing to exit, which is an answer too."""
    return _crossing(instrument, chance) | {"intent": "EXIT", "quantity": chance.randint(1, 5)}


def _senseless(instrument: Instrument, chance: Random) -> dict[str, Any]:
    """For the gate to deny: a price far outside the day's band."""
    return _crossing(instrument, chance) | {"price": instrument.close * 3}


_KINDS = {
    "resting": _resting,
    "crossing": _crossing,
    "large": _large,
    "at_once": _at_once,
    "market": _market,
    "stop": _stop,
    "exit": _exit,
    "senseless": _senseless,
}


def _steps(kind: str, chance: Random, shares: dict[str, float]) -> tuple[Step, ...]:
    """Only what rests can be changed, partly filled by hand, or cancelled."""
    if kind in {"crossing", "market"} and chance.random() < shares["leave"]:
        return (Step(round(chance.uniform(1, 8), 2), "leave"),)
    if kind not in {"resting", "large", "stop"}:
        return ()
    found = [
        Step(round(chance.uniform(0.3, 6), 2), what)
        for what, share in shares.items()
        if chance.random() < share and (what != "fill" or kind == "resting") and what != "leave"
    ]
    return tuple(sorted(found, key=lambda step: step.after))


def _blows(seed: int, seconds: float, mix: dict[str, Any]) -> list[Blow]:
    """Drawn from a shuffled deck, so that a short run meets as many kinds as it can."""
    chance, every = Random(f"{seed}/blows"), float(mix["blow_every"])
    deck: list[str] = []
    found, at = [], FIRST_BLOW
    while at < seconds * LAST_ASK and mix["blows"]:
        if not deck:
            deck = [card for card, count in mix["blows"].items() for _ in range(count)]
            chance.shuffle(deck)
        what, _, target = deck.pop().partition(" ")
        found.append(Blow(round(at, 3), what, target, round(chance.uniform(*_LASTS[what]), 2)))
        at += every * chance.uniform(0.5, 1.5)
    return found


def _deeds(asks: list[Ask], seed: int, seconds: float, mix: dict[str, Any]) -> list[Deed]:
    """On positions that there may be: what some ask, a while before, was about."""
    chance, found = Random(f"{seed}/deeds"), []
    for what, every in mix["deeds"].items():
        at = every * chance.uniform(0.3, 0.8)
        while at < seconds * LAST_ASK:
            found.append(_deed(what, at, asks, chance))
            at += every * chance.uniform(0.5, 1.5)
    if mix["kill_switch"]:
        found.append(Deed(round(seconds * KILLED_AT, 3), "kill", KILLED))
    return sorted(found, key=lambda deed: deed.at)


def _deed(what: str, at: float, asks: list[Ask], chance: Random) -> Deed:
    before = [ask for ask in asks if ask.at < at and ask.account != POOR] or asks[:1]
    about = chance.choice(before[-60:])
    side, quantity = chance.choice(("BUY", "SELL")), chance.randint(1, 30)
    return Deed(round(at, 3), what, about.account, about.instrument, side, quantity)


_LASTS = {"kill": (0, 0), "restart": (0, 0), "freeze": (0.5, 3), "lock": (1, 4)}
"""Seconds. A freeze lasts these beyond the time in which a call must leave."""


def shown(plan: Plan) -> str:
    """The plan as text, one line for each thing, in the order of their seconds."""
    rows = [(ask.at, f"{ask.mark} {_words(ask)}") for ask in plan.asks]
    rows += [(deed.at, _done(deed)) for deed in plan.deeds]
    rows += [(blow.at, f"{blow.what} {blow.target} {blow.seconds:g} s") for blow in plan.blows]
    return "\n".join(f"{second:9.3f}  {text}" for second, text in sorted(rows))


def _done(deed: Deed) -> str:
    traded = f" {deed.side} {deed.quantity}" if deed.what == "hand" else ""
    return f"{deed.what} {deed.account} {deed.instrument}{traded}"


def _words(ask: Ask) -> str:
    price = "" if ask.price is None else f" at {ask.price}"
    then = "".join(f", {step.what} after {step.after:g} s" for step in ask.then)
    what = f"{ask.side} {ask.quantity} {ask.instrument} {ask.order_type} {ask.validity}"
    return f"{ask.way} {ask.account} {ask.intent} {what}{price}{then}"
