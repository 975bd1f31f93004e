"""Entry, target and stop of the brackets that DhanHQ keeps: whose news a message is.

Sources: DhanHQ v2 documentation, super order page (its sample shows target and stop under the
entry's id, its text says that they have ids of their own), orders page (``legName``) and
order-update page (``LegNo``, ``AlgoOrdNo``). No leg was ever recorded on the wire: both are read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from apps.brokers.dhan import words
from apps.brokers.dhan.fields import identifier
from apps.brokers.dhan.schemas import OrderFrame
from apps.brokers.port import BadWire, BrokerState, LegName, OrderReport, OrderType

LONGEST_ID = 40
EXITS = frozenset({LegName.TARGET, LegName.STOP_LOSS})


def is_leg(found: OrderFrame) -> bool:
    """Part of a super, bracket or cover order (order-update page: remarks, AlgoOrdNo, product)."""
    super_order = (found.remarks or "").casefold() == words.SUPER_ORDER
    return _names_an_entry(found) or super_order or of_a_bracket(found.product)


def of_a_bracket(product: str | None) -> bool:
    """True for the products of bracket and cover orders."""
    return (product or "").upper() in words.BRACKET_PRODUCTS


def _names_an_entry(found: OrderFrame) -> bool:
    return found.entry_id is not None and found.entry_id.strip("0.") != ""


def part_in(found: OrderFrame) -> LegName | None:
    """Ordinary orders have a leg number too, which says nothing of them (recorded)."""
    part = words.LEG_NUMBERS.get(found.leg_number or "") if is_leg(found) else None
    of_another = _names_an_entry(found) and found.entry_id != found.order_id
    return None if part is LegName.ENTRY and of_another else part


def entry_of(found: OrderFrame, part: LegName) -> str:
    """The id of its entry, without which a target or stop is nobody's: it may share that id."""
    if part is LegName.ENTRY:
        return found.order_id
    try:
        return identifier(found.entry_id if _names_an_entry(found) else None)
    except ValueError as error:
        raise BadWire(f"order frame: algoOrdNo of a target or stop {error}") from None


def exit_id(entry_id: str, part: LegName) -> str:
    """The name of a target or stop that the broker shows under its entry's id."""
    name = f"{entry_id}/{part.value}"
    if len(name) > LONGEST_ID:
        raise BadWire("orderId is longer than that of any bracket")
    return name


def as_part(report: OrderReport, part: LegName, whole_id: str = "") -> OrderReport:
    """The report as news of this part; ``whole_id`` is empty where the broker does not tell.

    The broker repeats the entry's correlation id on its exits, which are other orders; and the
    price of a stop is the broker's own protection, no term of ours: only its trigger is.
    """
    if part is LegName.ENTRY:
        return replace(
            report,
            part=part,
            whole_id=report.broker_order_id,
            leg=True,
            # The trigger of a cover order is where its stop stands.
            trigger_price=None if report.order_type is OrderType.LIMIT else report.trigger_price,
            state=_state_of_entry(report),
        )
    shared = report.broker_order_id == whole_id
    return replace(
        report,
        part=part,
        whole_id=whole_id,
        leg=True,
        broker_order_id=exit_id(whole_id, part) if shared else report.broker_order_id,
        correlation_id=None,
        entry_correlation_id=report.correlation_id or report.entry_correlation_id,
        price=None if part is LegName.STOP_LOSS else report.price,
        state=words.state_of(report.state_word, part),
    )


def _state_of_entry(report: OrderReport) -> BrokerState:
    """CLOSED is the end of the whole (annexure): what the entry has not filled by then is gone.

    Without its numbers, or with no fill for an exit to leave, the word cannot be understood.
    """
    if words.key_of(report.state_word) != words.CLOSED:
        return report.state
    if not report.quantity or not report.filled_quantity:
        return BrokerState.UNRECOGNISED
    whole = report.filled_quantity >= report.quantity
    return BrokerState.FILLED if whole else BrokerState.CANCELLED


def told_apart(reports: Sequence[OrderReport]) -> list[OrderReport]:
    """The reports of one book: every target and stop with an id of its own, and its entry's.

    Rows of a book do not name their entry; the correlation id that it shares with them does.
    """
    parts: dict[str, set[LegName | None]] = defaultdict(set)
    entries: dict[str, set[str]] = defaultdict(set)
    for report in reports:
        parts[report.broker_order_id].add(report.part)
        if report.part is LegName.ENTRY and report.correlation_id:
            entries[report.correlation_id].add(report.broker_order_id)

    def whole_of(report: OrderReport) -> str:
        if len(parts[report.broker_order_id]) > 1:
            return report.broker_order_id
        found = entries.get(str(report.raw.get("correlationId") or "").strip(), set())
        return next(iter(found)) if len(found) == 1 else ""

    return [
        as_part(report, report.part, whole_of(report)) if report.part in EXITS else report
        for report in reports
    ]
