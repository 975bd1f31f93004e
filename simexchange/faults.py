"""Failures to order: which, where, for whom, how often, for how long.

Whether a fault with a probability fires is drawn from a seeded generator of its own for each
account and endpoint, so that the same requests of an account fail in the same way whatever the
other accounts do meanwhile.
"""

import time
from collections import Counter
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
    "book_lags",
    "reject_later",
    "refused",
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
STOP_REJECTED, BOTH_FILLED = "stop_rejected", "both_exits_filled"
SIBLING_STAYS = "sibling_stays"
LEG_FAULTS = (STOP_REJECTED, BOTH_FILLED, SIBLING_STAYS)
"""What goes wrong at the broker with the exits of a super order."""
REFUSE, CUT, CUT_MARKET = "refuse_connection", "feed_cut", "market_feed_cut"
OUTAGES = (REFUSE, CUT, CUT_MARKET)
"""What begins when it is ordered, hits everybody, and lasts its `seconds`."""
ALL_FAULTS = (*REQUEST_FAULTS, *FEED_FAULTS, *PACKET_FAULTS, *LEG_FAULTS, *OUTAGES)
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
    "kill_switch",
    "kill_status",
    "pnl_exit",
    "pnl_status",
    "edis",
    "super_place",
    "super_modify",
    "super_cancel",
    "super_book",
    "margin",
    "renew",
    "get_ip",
    "generate_token",
    "generate_consent",
    "consume_consent",
    "master",
    "any",
)
LEGS = "legs"
"""Stands for the exits of super orders, where faults of frames say what they concern."""
ONLY_AT = {
    "lookup_404": ("by_correlation",),
    "book_lags": ("book", "trades", "super_book"),
    "reject_later": ("place", "super_place"),
    "refused": ("place", "modify", "cancel", "super_place", "super_modify", "super_cancel"),
}
"""Faults that only some endpoints can have."""
DEFAULT_SECONDS = {
    "hang": 60.0,
    "slow": 1.0,
    "delayed_frames": 1.0,
    "book_lags": 5.0,
    **dict.fromkeys(OUTAGES, 2.0),
}


@dataclass(slots=True)
class Fault:
    """One order for failure. `times` None means without end; `seconds` fits the fault.

    It is in force for `lasts` seconds from the moment it was ordered; None means for ever.
    """

    fault: str
    endpoint: str = "any"
    client_id: str | None = None
    times: int | None = None
    probability: float = 1.0
    seconds: float | None = None
    lasts: float | None = None
    accept: bool = False
    status: int | None = None
    id: int = 0
    nth: int = 0
    fired: int = 0
    made_at: float = 0.0

    def concerns(self, endpoint: str, client_id: str | None) -> bool:
        spent = self.times is not None and self.fired >= self.times
        fits = self.endpoint in {"any", endpoint} and self.client_id in {None, client_id}
        possible = endpoint in ONLY_AT.get(self.fault, (endpoint,))
        return fits and possible and not spent and not self._is_over()

    def _is_over(self) -> bool:
        """The seconds of `lookup_404` are how long it lasts."""
        lasts = self.seconds if self.fault == "lookup_404" and self.lasts is None else self.lasts
        return lasts is not None and time.monotonic() - self.made_at > lasts

    @property
    def wait(self) -> float:
        return DEFAULT_SECONDS.get(self.fault, 0.0) if self.seconds is None else self.seconds


class Faults:
    """The list of faults in force; `fired` counts by name, those taken away included."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._faults: dict[int, Fault] = {}
        self._ids = count(1)
        self._start_counting()

    def _start_counting(self) -> None:
        self._nth = count(1)
        self._draws: dict[tuple[int, str, str | None], Random] = {}
        self.fired: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.values())

    def add(self, fault: Fault) -> int:
        fault.id, fault.nth, fault.made_at = next(self._ids), next(self._nth), time.monotonic()
        self._faults[fault.id] = fault
        return fault.id

    def remove(self, fault_id: int) -> bool:
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Take all of them away; what fired stays counted."""
        self._faults.clear()

    def reset(self) -> None:
        """As at the start: the next faults are drawn as the first ones were."""
        self.clear()
        self._start_counting()

    def draw(self, endpoint: str, client_id: str | None) -> Fault | None:
        """The first fault in force that hits this request, counted as fired."""
        return self._draw(REQUEST_FAULTS, endpoint, client_id)

    def draw_frame(self, client_id: str, of_leg: bool) -> Fault | None:
        """The first fault in force that hits this frame of the order update socket.

        `of_leg`: it tells of an exit of a super order.
        """
        return self._draw(FEED_FAULTS, LEGS if of_leg else "feed", client_id)

    def strikes(self, name: str, client_id: str) -> bool:
        """Whether this fault is in force and hits now, counted as fired."""
        return self._draw((name,), LEGS, client_id) is not None

    def draw_packet(self, client_id: str) -> Fault | None:
        """The first fault in force that hits this frame of the market feed socket."""
        return self._draw(PACKET_FAULTS, "market_feed", client_id)

    def _draw(self, names: tuple[str, ...], endpoint: str, client_id: str | None) -> Fault | None:
        for fault in self._faults.values():
            if fault.fault not in names or not fault.concerns(endpoint, client_id):
                continue
            if fault.probability >= 1 or self._chance(fault, endpoint, client_id):
                self.count(fault)
                return fault
        return None

    def count(self, fault: Fault) -> None:
        """Note that a fault has struck once more."""
        fault.fired += 1
        self.fired[fault.fault] += 1

    def _chance(self, fault: Fault, endpoint: str, client_id: str | None) -> bool:
        """Drawn by its place in the list, which unlike its number follows from the seed."""
        key = fault.nth, endpoint, client_id
        if key not in self._draws:
            self._draws[key] = Random(f"{self._seed}/{fault.nth}/{endpoint}/{client_id}")
        return self._draws[key].random() < fault.probability
