"""One part of the house, described."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from signal import SIGTERM, Signals

from supervisor.store import Store


class Tier(IntEnum):
    """Parts stop from the top down; those of one tier stop together."""

    STORE = 1
    EXCHANGE = 2
    DESK = 3
    FEED = 4


@dataclass(frozen=True)
class Part:
    name: str
    argv: tuple[str, ...]
    tier: Tier = Tier.DESK
    stop: Signals = SIGTERM
    grace: float = 3.5  # seconds between `stop` and SIGKILL
    once: bool = False  # runs to its end before the next part starts
    shown: bool = False  # what it writes to stdout is for the person at the terminal
    patience: float = 30.0  # seconds until it must be ready
    ready: Callable[[], bool] | None = None
    settle: float = 1.0  # seconds it must live before the house is open
    store: Store | None = None


def store_part(name: str, store: Store, stop: Signals = SIGTERM) -> Part:
    return Part(
        name, tuple(store.argv), Tier.STORE, stop=stop, grace=2.5, ready=store.ready, store=store
    )
