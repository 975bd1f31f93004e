"""What a bracket needs next, from the state of its orders and never from events. Pure.

A lost message costs one look: the next one sees the same orders and comes to the same answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum


class At(StrEnum):
    """Where the newest order of a part is; NONE: there never was one."""

    NONE = "NONE"
    MOVING = "MOVING"
    WORKING = "WORKING"
    UNKNOWN = "UNKNOWN"
    OVER = "OVER"


class Part(StrEnum):
    """The legs; OUT leaves what is held at the market, BACK undoes what was left too much."""

    ENTRY = "ENTRY"
    TARGET = "TARGET"
    STOP_LOSS = "STOP_LOSS"
    OUT = "OUT"
    BACK = "BACK"


ELSEWHERE = "the position was closed elsewhere"
EXITS = (Part.STOP_LOSS, Part.TARGET, Part.OUT)
KEPT = (Part.ENTRY, Part.STOP_LOSS, Part.TARGET)  # what a broker keeps in step, where it does


@dataclass(frozen=True, kw_only=True)
class Works:
    """The orders of one part, units. ``total``: filled by all of them, not by the newest alone.

    ``failed``: the last ones that ended against our wish, one after the other. ``stuck``: its terms
    cannot be changed any more. ``strays``: units that older orders of it may still fill.
    """

    at: At = At.NONE
    quantity: int = 0
    filled: int = 0
    total: int = 0
    failed: int = 0
    quiet_for: float = 1e9
    cancelling: bool = False
    changing: bool = False
    stuck: bool = False
    rests: bool = False
    strays: int = 0

    @property
    def alive(self) -> bool:
        """True while its newest order may still fill."""
        return self.at in {At.MOVING, At.WORKING, At.UNKNOWN}

    @property
    def left(self) -> int:
        """Units that its newest order may still fill."""
        return max(self.quantity - self.filled, 0) if self.alive else 0

    @property
    def gone(self) -> bool:
        """True when nothing of it may fill."""
        return not self.alive and self.strays == 0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Seconds, and how many orders of a leg may fail in a row.

    ``broker``: in which a broker that keeps the legs may bring them in step itself.
    """

    broker: float = 3.0
    protect_within: float = 5.0
    leave_after: float = 15.0
    gap_for: float = 2.0
    loud_after: float = 10.0
    tries: int = 3


@dataclass(frozen=True, kw_only=True)
class Sight:
    """All that a decision rests on.

    ``cover``: units of the account's position that the bracket's may still be, by the more generous
    measure; None: not known. ``exposed_for``: seconds in which units were held without a stop at
    work for all of them. ``gap_for``: seconds in which the price has been beyond the stop's limit.
    ``waits_for``: seconds in which an order was in doubt or would not be cancelled. ``ends``: why
    it must be left now, whatever its legs do. ``elsewhere``: somebody else is closing the whole
    position, and every order of the bracket is in the way. ``kept``: the broker keeps target and
    stop, and no order of ours stands for one of them. ``odd_for``: seconds in which something was
    due that is the broker's to do.
    """

    entry: Works
    target: Works = Works()
    stop: Works = Works()
    out: Works = Works()
    back: Works = Works()
    wants_target: bool = True
    leaving: bool = False
    takes_orders: bool = True
    cover: int | None = None
    exposed_for: float = 0.0
    gap_for: float = 0.0
    waits_for: float = 0.0
    ends: str = ""
    elsewhere: bool = False
    kept: bool = False
    odd_for: float = 0.0

    def of(self, part: Part) -> Works:
        """The orders of one part."""
        return {
            Part.ENTRY: self.entry,
            Part.TARGET: self.target,
            Part.STOP_LOSS: self.stop,
            Part.OUT: self.out,
            Part.BACK: self.back,
        }[part]

    @property
    def exited(self) -> int:
        """Units that the ways out have filled."""
        return self.target.total + self.stop.total + self.out.total

    @property
    def counted(self) -> int:
        """Units that the bracket holds by its own fills; below zero: left too much."""
        return self.entry.total - self.exited + self.back.total

    @property
    def held(self) -> int:
        """The same, and no more than the account's position covers."""
        if self.cover is None:
            return self.counted
        sign = 1 if self.counted > 0 else -1
        return sign * min(abs(self.counted), self.cover)

    @property
    def exposed(self) -> bool:
        """True while a unit is held that no stop at work would leave."""
        stops = self.stop.left if self.stop.at is At.WORKING else 0
        return self.held > stops


class Do(StrEnum):
    """What the guardian is to do."""

    LEAVE = "LEAVE"
    CANCEL = "CANCEL"
    CHANGE = "CHANGE"
    PLACE = "PLACE"
    PRICE_ANEW = "PRICE_ANEW"
    ALERT = "ALERT"
    FINISH = "FINISH"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do. ``quantity``: units to place, or to leave open by a change."""

    do: Do
    part: Part | None = None
    quantity: int = 0
    about: str = ""
    why: str = ""


def decide(seen: Sight, patience: Patience) -> list[Step]:
    """Everything that is to be done now; nothing when all is as it should be."""
    steps = list(_reasons_to_leave(seen, patience))
    if steps:
        seen = replace(seen, leaving=True)
    due = [*_taking_back(seen), *_placing(seen, patience)]
    if seen.odd_for < patience.broker:
        due = [step for step in due if not _is_the_brokers(seen, step)]
    steps += due
    steps += _telling(seen, patience)
    if _is_over(seen):
        why = "" if seen.counted == 0 else ELSEWHERE
        steps.append(Step(do=Do.FINISH, why=why))
    return steps


def is_odd(seen: Sight, patience: Patience) -> bool:
    """True while something is due that is the broker's to do first."""
    due = [*_taking_back(seen), *_placing(seen, patience)]
    return any(_is_the_brokers(seen, step) for step in due)


def _is_the_brokers(seen: Sight, step: Step) -> bool:
    """What a broker that keeps the legs does by itself; a wish of ours it does not know."""
    return seen.kept and not seen.leaving and not seen.elsewhere and step.part in KEPT


def pause(failed: int) -> float:
    """Seconds after an order that failed before the next one is tried."""
    return 0.0 if failed == 0 else min(0.5 * 1.5 ** min(failed, 12), 30.0)


def _reasons_to_leave(seen: Sight, patience: Patience) -> Iterator[Step]:
    """At most one: why stop and target are no longer enough."""
    if seen.leaving or seen.elsewhere:
        return
    why = ""
    if seen.counted < 0:
        why = "more was left than was held: both exits filled"
    elif seen.ends and (seen.held > 0 or not seen.entry.gone):
        why = seen.ends
    elif seen.held > 0 and seen.takes_orders:
        why = _unprotected(seen, patience)
    if why:
        yield Step(do=Do.LEAVE, why=why)


def _unprotected(seen: Sight, patience: Patience) -> str:
    if seen.stop.at is At.UNKNOWN:
        return ""  # it may protect; another one beside it could fill too
    failed = not seen.stop.alive and seen.stop.failed >= patience.tries
    if failed and seen.exposed_for >= patience.protect_within:
        return f"the stop failed {seen.stop.failed} times"
    if seen.exposed and seen.exposed_for >= patience.leave_after:
        return f"no stop was at work for {seen.exposed_for:.0f} s"
    gap = patience.gap_for + (patience.broker if seen.kept else 0)
    if seen.stop.at is At.WORKING and seen.gap_for >= gap:
        return "the price went past the stop's limit"
    return ""


def _wanted(seen: Sight, part: Part) -> int:
    """Units that an order of this part should leave open."""
    if seen.elsewhere:
        return 0
    if part is Part.ENTRY:
        done = seen.leaving or seen.exited > 0 or seen.held < seen.counted
        return 0 if done else seen.entry.left
    if part is Part.BACK:
        return max(-seen.held, 0)
    held = max(seen.held, 0)
    if part is Part.OUT:
        return held if seen.leaving else 0
    if seen.leaving or (part is Part.TARGET and not seen.wants_target):
        return 0
    return held


def _taking_back(seen: Sight) -> Iterator[Step]:
    """Orders that are too much, too little or resting in the wrong place."""
    for part in Part:
        works, wanted = seen.of(part), _wanted(seen, part)
        if works.strays:
            yield Step(do=Do.CANCEL, part=part, about="strays", why="a newer order stands for it")
        if not works.alive or works.cancelling:
            continue
        if wanted == 0:
            yield Step(do=Do.CANCEL, part=part, why=_why_gone(seen, part))
        elif works.left != wanted and part in {Part.TARGET, Part.STOP_LOSS}:
            yield from _resize(part, works, wanted)
        elif works.left > wanted:
            yield Step(do=Do.CANCEL, part=part, why=f"only {wanted} units are left to leave")
        elif works.rests and part in {Part.OUT, Part.BACK}:
            yield Step(do=Do.PRICE_ANEW, part=part)


def _resize(part: Part, works: Works, wanted: int) -> Iterator[Step]:
    why = f"{wanted} units are held"
    if works.stuck:
        yield Step(do=Do.CANCEL, part=part, why=f"{why}, and its quantity cannot be changed")
    elif works.at is At.WORKING and not works.changing:
        yield Step(do=Do.CHANGE, part=part, quantity=wanted, why=why)


def _why_gone(seen: Sight, part: Part) -> str:
    if seen.elsewhere:
        return "all of the position is being closed"
    if part is Part.ENTRY:
        return "the bracket is being left"
    if seen.leaving and seen.held:
        return "the position is being left at the market"
    return "nothing is held that it would leave" if seen.held <= 0 else "it is not wanted any more"


def _placing(seen: Sight, patience: Patience) -> Iterator[Step]:
    """New orders: never beside one of the same kind, or one whose end nobody knows."""
    if not seen.takes_orders or seen.elsewhere:
        return
    exits = [seen.of(part) for part in EXITS]
    if seen.held < 0:
        if seen.entry.gone and all(works.gone for works in exits):
            yield from _place(seen, Part.BACK, -seen.held)
    elif seen.held == 0:
        return
    elif seen.leaving:
        if seen.target.gone and seen.stop.gone and seen.back.gone:
            yield from _place(seen, Part.OUT, seen.held)
    elif all(works.left <= seen.held and works.strays == 0 for works in exits):
        yield from _place(seen, Part.STOP_LOSS, seen.held)
        if seen.wants_target and not seen.exposed and seen.target.failed < patience.tries:
            yield from _place(seen, Part.TARGET, seen.held)


def _place(seen: Sight, part: Part, quantity: int) -> Iterator[Step]:
    works = seen.of(part)
    if works.gone and works.quiet_for >= pause(works.failed):
        yield Step(do=Do.PLACE, part=part, quantity=quantity)


def _telling(seen: Sight, patience: Patience) -> Iterator[Step]:
    """What people must know."""
    if seen.counted < 0:
        text = f"its exits filled {-seen.counted} units more than its entry: they are traded back"
        yield Step(do=Do.ALERT, about="reverse", why=text)
    elif seen.elsewhere:
        return
    if seen.exposed and seen.takes_orders and seen.exposed_for >= patience.protect_within:
        text = f"{seen.held} units have had no stop at work for {seen.exposed_for:.0f} s"
        yield Step(do=Do.ALERT, about="exposed", why=text)
    if seen.wants_target and seen.target.failed >= patience.tries and not seen.leaving:
        text = f"the target failed {seen.target.failed} times: only the stop is at work"
        yield Step(do=Do.ALERT, about="target", why=text)
    if seen.waits_for >= patience.loud_after:
        doubt = [name for part, name in _NAMES.items() if seen.of(part).at is At.UNKNOWN]
        what = f"{' and '.join(doubt)} in doubt" if doubt else "a cancel that is not confirmed"
        text = f"it has waited {seen.waits_for:.0f} s for {what}"
        yield Step(do=Do.ALERT, about="waits", why=text)


_NAMES = {
    Part.ENTRY: "its entry",
    Part.TARGET: "its target",
    Part.STOP_LOSS: "its stop-loss",
    Part.OUT: "its way out",
    Part.BACK: "its way back",
}


def waits(seen: Sight) -> bool:
    """True while an order is in doubt, or one that was to be cancelled is not gone."""
    return any(
        works.at is At.UNKNOWN or (works.cancelling and works.alive) or works.strays
        for works in map(seen.of, Part)
    )


def _is_over(seen: Sight) -> bool:
    if seen.entry.at is At.NONE or seen.held != 0:
        return False
    return all(seen.of(part).gone for part in Part)
