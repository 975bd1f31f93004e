"""Failures to order: which, where, for whom, how often.

Whether a fault with a probability fires is drawn from a seeded generator, so that the same
requests in the same order fail in the same way.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import Random

REQUEST_FAULTS = (
    "drop_before_accept",
    "drop_after_accept",
    "hang",
    "slow",
    "http_429",
    "http_500",
    "html",
    "garbage",
    "truncated",
    "wrong_schema",
    "redirect_307",
    "lookup_404",
)
FEED_FAULTS = (
    "feed_disconnect",
    "duplicate_frames",
    "delayed_frames",
    "dropped_frames",
    "reordered_frames",
)
PACKET_FAULTS = (
    "market_feed_disconnect",
    "garbled_packets",
    "cut_packets",
    "unknown_packets",
    "off_tick_packets",
    "dropped_packets",
)
ENDPOINTS = (
    "place",
    "modify",
    "cancel",
    "book",
    "order",
    "by_correlation",
    "trades",
    "positions",
    "holdings",
    "funds",
    "profile",
    "quotes",
    "exit_all",
    "margin",
    "renew",
    "get_ip",
    "generate_token",
    "generate_consent",
    "consume_consent",
    "master",
    "any",
)
DEFAULT_SECONDS = {"hang": 60.0, "slow": 1.0, "delayed_frames": 1.0}


@dataclass(slots=True)
class Fault:
    """One order for failure. `times` None means without end; `seconds` fits the fault."""

    fault: str
    endpoint: str = "any"
    client_id: str | None = None
    times: int | None = None
    probability: float = 1.0
    seconds: float | None = None
    accept: bool = False
    status: int | None = None
    id: int = 0
    fired: int = 0
    made_at: float = 0.0

    def concerns(self, endpoint: str, client_id: str | None) -> bool:
        spent = self.times is not None and self.fired >= self.times
        fits = self.endpoint in {"any", endpoint} and self.client_id in {None, client_id}
        return fits and not spent and not self._is_over()

    def _is_over(self) -> bool:
        """`lookup_404` lasts for its seconds from the moment it was ordered."""
        if self.fault != "lookup_404" or self.seconds is None:
            return False
        return time.monotonic() - self.made_at > self.seconds

    @property
    def wait(self) -> float:
        return DEFAULT_SECONDS.get(self.fault, 0.0) if self.seconds is None else self.seconds


class Faults:
    """The list of faults in force."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._faults: dict[int, Fault] = {}
        self._ids = count(1)
        self._random = Random(f"{seed}/faults")

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.values())

    def add(self, fault: Fault) -> int:
        fault.id, fault.made_at = next(self._ids), time.monotonic()
        self._faults[fault.id] = fault
        return fault.id

    def remove(self, fault_id: int) -> bool:
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        self._faults.clear()
        self._random = Random(f"{self._seed}/faults")

    def draw(self, endpoint: str, client_id: str | None) -> Fault | None:
        """The first fault in force that hits this request, counted as fired."""
        return self._draw(REQUEST_FAULTS, endpoint, client_id)

    def draw_frame(self, client_id: str) -> Fault | None:
        """The first fault in force that hits this frame of the order update socket."""
        return self._draw(FEED_FAULTS, "feed", client_id)

    def draw_packet(self, client_id: str) -> Fault | None:
        """The first fault in force that hits this frame of the market feed socket."""
        return self._draw(PACKET_FAULTS, "market_feed", client_id)

    def _draw(self, names: tuple[str, ...], endpoint: str, client_id: str | None) -> Fault | None:
        for fault in self._faults.values():
            if fault.fault not in names or not fault.concerns(endpoint, client_id):
                continue
            if fault.fault == "lookup_404" and endpoint != "by_correlation":
                continue
            if fault.probability >= 1 or self._random.random() < fault.probability:
                fault.fired += 1
                return fault
        return None
