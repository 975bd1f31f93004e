"""How a quantity above the freeze quantity is cut, and what of it is done: arithmetic, in units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST = 200  # slices of one order


def largest(lot: int, freeze: int) -> int:
    """The most that one order may have: whole lots within the freeze quantity; 0 when none fits."""
    return freeze // lot * lot


def pieces_of(total: int, lot: int, freeze: int | None) -> int:
    """How many orders ``total`` takes; 1 where no freeze quantity is known, or no lot fits it."""
    most = 0 if freeze is None else largest(lot, freeze)
    return 1 if most <= 0 or total <= most else -(-total // most)


def split(total: int, lot: int, freeze: int | None) -> list[int]:
    """The quantities: each as large as one order may be, the last one what is left.

    In one piece where no freeze quantity is known, or no lot fits it: the gate says why not.
    """
    count = pieces_of(total, lot, freeze)
    if count == 1 or freeze is None:
        return [total]
    most = largest(lot, freeze)
    return [most] * (count - 1) + [total - most * (count - 1)]


@dataclass(frozen=True)
class Piece:
    """One slice that was placed. ``over``: nothing more is expected of it."""

    quantity: int
    filled: int
    over: bool

    @property
    def takes(self) -> int:
        """Of the whole: what it filled once it is over, until then all that it may still fill."""
        return self.filled if self.over else max(self.quantity, self.filled)


@dataclass(frozen=True)
class Standing:
    """Where a whole is. ``left`` is the exact remainder: neither filled, nor at work, nor given
    up; ``unplaced`` what the plan has still to place of it; ``surplus`` what is too much, also of
    what was given up."""

    filled: int
    at_work: int
    left: int
    unplaced: int
    surplus: int
    alive: bool

    @property
    def missing(self) -> int:
        """What fell short: no slice that was placed, or is planned, brings it."""
        return self.left - self.unplaced


def standing(total: int, dropped: int, plan: Sequence[int], placed: Iterable[Piece]) -> Standing:
    """Count a whole of ``total`` units, of which ``dropped`` were given up."""
    pieces = list(placed)
    taken = sum(piece.takes for piece in pieces)
    left = max(total - dropped - taken, 0)
    return Standing(
        filled=sum(piece.filled for piece in pieces),
        at_work=sum(piece.takes - piece.filled for piece in pieces if not piece.over),
        left=left,
        unplaced=min(sum(plan[len(pieces) :]), left),
        surplus=max(taken + dropped - total, 0),
        alive=any(not piece.over for piece in pieces),
    )
