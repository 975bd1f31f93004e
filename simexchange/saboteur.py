"""Orders failures, at once or by a schedule."""

from collections.abc import Callable, Mapping

from simexchange.clock import Later
from simexchange.fault_orders import Plan
from simexchange.faults import Fault, Faults


class Saboteur:
    """Puts faults in force. Those of a schedule come at their seconds from when it was given.

    `outages`: what begins at once, by the name of the fault, for so many seconds.
    """

    def __init__(
        self,
        faults: Faults,
        outages: Mapping[str, Callable[[float], None]],
        later: Later,
        now: Callable[[], float],
    ) -> None:
        self.faults = faults
        self.plan: Plan = []
        self.ordered = 0  # how many of the plan have come
        self._outages = outages
        self._later = later
        self._now = now
        self._began = 0.0
        self._round = 0

    def order(self, fault: Fault) -> int:
        """Put one fault in force; returns its number."""
        number = self.faults.add(fault)
        if begin := self._outages.get(fault.fault):
            self.faults.count(fault)
            begin(fault.wait)
        return number

    def follow(self, plan: Plan) -> None:
        """Order these faults, in this order, when their seconds come; an older plan ends."""
        self.stop()
        self.plan, self._began = plan, self._now()
        self._go_on(self._round)

    def stop(self) -> None:
        """Order nothing more by the schedule; what is in force stays."""
        self._round += 1
        self.plan, self.ordered = [], 0

    def _go_on(self, its_round: int) -> None:
        if its_round != self._round:
            return
        since = self._now() - self._began
        while self.ordered < len(self.plan) and self.plan[self.ordered][0] <= since:
            self.order(self.plan[self.ordered][1])
            self.ordered += 1
        if self.ordered < len(self.plan):
            wait = self.plan[self.ordered][0] - since
            self._later(wait, lambda: self._go_on(its_round))
