"""Orders, what happened to them, their fills and changes of terms; brackets; what was imported."""

from apps.orders.models.brackets import (
    LEGS_OVER,
    Bracket,
    BracketLeg,
    BracketStatus,
    Leg,
    LegStatus,
    Style,
)
from apps.orders.models.changes import UNDER_WAY, Change, Modification
from apps.orders.models.happenings import Fill, OrderEvent, Unattributed
from apps.orders.models.legacy import ImportedRow, LeftOut, LegacyImport
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

__all__ = [
    "LEGS_OVER",
    "MANUAL",
    "OUTSIDE",
    "UNDER_WAY",
    "Bracket",
    "BracketLeg",
    "BracketStatus",
    "Change",
    "DeskSequence",
    "Fill",
    "ImportedRow",
    "LeftOut",
    "Leg",
    "LegStatus",
    "LegacyImport",
    "Modification",
    "Order",
    "OrderEvent",
    "OrderQuerySet",
    "Source",
    "Style",
    "Unattributed",
    "new_correlation_id",
    "trading_day",
]
