"""Orders, what happened to them, their fills and changes of terms."""

from apps.orders.models.breaks import BooksRun, Break, BreakKind, BreakNote, Resolution
from apps.orders.models.changes import UNDER_WAY, Change, Modification
from apps.orders.models.days import DayReport
from apps.orders.models.happenings import Fill, OrderEvent, Unattributed
from apps.orders.models.ledger import OpeningEntry, OwnedPosition
from apps.orders.models.orders import (
    MANUAL,
    OUTSIDE,
    DeskSequence,
    Order,
    OrderQuerySet,
    Source,
    new_correlation_id,
    trading_day,
)
from apps.orders.models.slicing import ENDS, Progress, Slicing, SlicingEvent

__all__ = [
    "ENDS",
    "MANUAL",
    "OUTSIDE",
    "UNDER_WAY",
    "BooksRun",
    "Break",
    "BreakKind",
    "BreakNote",
    "Change",
    "DayReport",
    "DeskSequence",
    "Fill",
    "Modification",
    "OpeningEntry",
    "Order",
    "OrderEvent",
    "OrderQuerySet",
    "OwnedPosition",
    "Progress",
    "Resolution",
    "Slicing",
    "SlicingEvent",
    "Source",
    "Unattributed",
    "new_correlation_id",
    "trading_day",
]
