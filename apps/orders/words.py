"""How orders are written: statuses in words and colours, amounts in Indian figures."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from apps.orders.models import BracketStatus, LegStatus, Order, Progress
from apps.orders.states import Status

# Status → (word, tone). Tones are classes of the style sheet.
STATUS: dict[Status, tuple[str, str]] = {
    Status.NEW: ("New", "quiet"),
    Status.AWAITING_APPROVAL: ("Waits for approval", "wait"),
    Status.APPROVED: ("Approved", "wait"),
    Status.SENDING: ("Sending", "wait"),
    Status.SUBMITTED: ("Submitted", "work"),
    Status.OPEN: ("Open", "work"),
    Status.PARTIALLY_FILLED: ("Partly filled", "work"),
    Status.UNKNOWN: ("Unknown", "alarm"),
    Status.FILLED: ("Filled", "good"),
    Status.CANCELLED: ("Cancelled", "quiet"),
    Status.EXPIRED: ("Expired", "quiet"),
    Status.DENIED: ("Denied by risk", "bad"),
    Status.REJECTED: ("Rejected", "bad"),
    Status.LAPSED: ("Lapsed", "bad"),
    Status.NEVER_ARRIVED: ("Never arrived", "bad"),
    Status.IMPORTED: ("Imported", "quiet"),
}

# Where a whole is → (tone, what it means).
PROGRESS: dict[Progress, tuple[str, str]] = {
    Progress.PLACING: ("wait", "Its slices are placed one after the other."),
    Progress.PLACED: ("work", "Every slice is placed."),
    Progress.STOPPED: ("alarm", "Nothing more is placed until somebody resumes or drops the rest."),
    Progress.DONE: ("good", "All of it is filled."),
    Progress.DROPPED: ("quiet", "Nothing more of it is placed; the rest was given up."),
    Progress.REFUSED: ("bad", "Nothing was placed."),
}

# Where a bracket is → (tone, what it means).
BRACKETS: dict[BracketStatus, tuple[str, str]] = {
    BracketStatus.ENTERING: ("wait", "Stop and target follow as the entry fills."),
    BracketStatus.HOLDING: ("work", "Its stop protects what it holds."),
    BracketStatus.LEAVING: ("wait", "What it holds is on its way out."),
    BracketStatus.OVER: ("quiet", "None of its orders can trade any more."),
    BracketStatus.IMPORTED: ("quiet", "Another system's, kept as it was."),
}
LEGS: dict[str, str] = {
    LegStatus.AWAITED: "quiet",
    LegStatus.SUBMITTED: "wait",
    LegStatus.WORKING: "work",
    LegStatus.TRIGGERED: "work",
    LegStatus.PARTIALLY_FILLED: "work",
    LegStatus.UNKNOWN: "alarm",
    LegStatus.FILLED: "good",
    LegStatus.CANCELLED: "quiet",
    LegStatus.REJECTED: "bad",
    LegStatus.EXPIRED: "quiet",
    LegStatus.IMPORTED: "quiet",
}


def status_word(status: str) -> str:
    """The status as people say it."""
    return STATUS[Status(status)][0]


def status_tone(status: str) -> str:
    """The status as a colour class."""
    return STATUS[Status(status)][1]


def grouped(whole: int) -> str:
    """12,34,567: thousands once, then lakhs and crores."""
    digits = str(abs(whole))
    head, tail = digits[:-3], digits[-3:]
    groups = [tail]
    while head:
        groups.insert(0, head[-2:])
        head = head[:-2]
    return ("-" if whole < 0 else "") + ",".join(groups)


def average_of(orders: Sequence[Order]) -> Decimal | None:
    """What a unit of all their fills cost, rupees; None without fills, or while one is not told."""
    filled = [order for order in orders if order.filled_quantity]
    prices = [order.average_price for order in filled if order.average_price is not None]
    if not filled or len(prices) < len(filled):
        return None
    paid = sum(
        (price * one.filled_quantity for price, one in zip(prices, filled, strict=True)), Decimal(0)
    )
    return round(paid / sum(order.filled_quantity for order in filled), 4)


def rupees(amount: Decimal | None) -> str:
    """₹1,23,456.05; four decimals only where the tick needs them."""
    if amount is None:
        return "–"
    whole, _, cents = plain(abs(amount)).partition(".")
    return f"{'-' if amount < 0 else ''}₹{grouped(int(whole))}.{cents}"


def plain(amount: Decimal) -> str:
    """123456.05, as a field takes it; four decimals only where the tick needs them."""
    return f"{amount:.{2 if amount == round(amount, 2) else 4}f}"
