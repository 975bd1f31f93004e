"""Brackets in tests: asked for, looked at like the sweep does, and what must hold of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from apps.orders import bracket_guard, look
from apps.orders.bracket_machine import Part
from apps.orders.bracket_sight import orders_of
from apps.orders.models import Bracket, Order
from apps.orders.reconcile import reconcile
from tests.orders.sweeping import sweep_and_send


def one_pass(bracket: Bracket, *, books: bool = True) -> None:
    """What beat and the workers do in a second; ``books``: they are read, too."""
    sweep_and_send()
    if books:
        reconcile(bracket.account)
        look.look(bracket.account)
    bracket_guard.tend(bracket.pk)
    bracket.refresh_from_db()


def until(bracket: Bracket, done: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, told(bracket)
        one_pass(bracket)
        time.sleep(0.03)


def told(bracket: Bracket) -> str:
    notes = [str(note) for note in bracket.notes.all()]
    legs = [
        f"{leg.leg} {leg.status} {leg.filled_quantity}/{leg.quantity}" for leg in legs_of(bracket)
    ]
    return "\n".join([str(bracket.status), *legs, *notes])


def legs_of(bracket: Bracket):
    return bracket.legs.order_by("pk")


def status_of(bracket: Bracket, leg: str) -> str:
    return bracket.legs.get(leg=leg).status


def newest(bracket: Bracket, part: Part) -> Order:
    return orders_of(bracket)[part][-1]


def is_over(bracket: Bracket) -> Callable[[], bool]:
    def over() -> bool:
        bracket.refresh_from_db()
        return bracket.over

    return over


def is_held(bracket: Bracket) -> Callable[[], bool]:
    """True once entered, with every wanted exit at work."""

    def held() -> bool:
        wanted = ["STOP_LOSS"] + (["TARGET"] if bracket.target_price else [])
        return all(status_of(bracket, leg) == "WORKING" for leg in wanted)

    return held
