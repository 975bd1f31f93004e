"""Orders, what happened to them, their fills and changes of terms; brackets; what was imported."""

from apps.orders.models.brackets import (
    LEGS_OVER,
    Bracket,
    BracketLeg,
    BracketNote,
    BracketStatus,
    Leg,
    LegStatus,
    Style,
)
from apps.orders.models.breaks import BooksRun, Break, BreakKind, BreakNote, Resolution
from apps.orders.models.changes import UNDER_WAY, Change, Modification
from apps.orders.models.days import DayReport
from apps.orders.models.happenings import Fill, OrderEvent, Unattributed
from apps.orders.models.ledger import LedgerPosition, OpeningEntry
from apps.orders.models.legacy import ImportedRow, LeftOut, LegacyImport
from apps.orders.models.orders import (
    MANUAL,
    OUTSIDE,
    PREFIX,
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
    "LEGS_OVER",
    "MANUAL",
    "OUTSIDE",
    "PREFIX",
    "UNDER_WAY",
    "BooksRun",
    "Bracket",
    "BracketLeg",
    "BracketNote",
    "BracketStatus",
    "Break",
    "BreakKind",
    "BreakNote",
    "Change",
    "DayReport",
    "DeskSequence",
    "Fill",
    "ImportedRow",
    "LedgerPosition",
    "LeftOut",
    "Leg",
    "LegStatus",
    "LegacyImport",
    "Modification",
    "OpeningEntry",
    "Order",
    "OrderEvent",
    "OrderQuerySet",
    "Progress",
    "Resolution",
    "Slicing",
    "SlicingEvent",
    "Source",
    "Style",
    "Unattributed",
    "new_correlation_id",
    "trading_day",
]
