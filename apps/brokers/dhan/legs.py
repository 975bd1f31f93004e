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
from apps.brokers.port import BadWire, BrokerState, LegName, OrderReport

LONGEST_ID = 40
EXITS = frozenset({LegName.TARGET, LegName.STOP_LOSS})


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
    """The reports of one book, with targets and stops that share an id under names of their own."""
    parts: dict[str, set[LegName | None]] = defaultdict(set)
    for report in reports:
        parts[report.broker_order_id].add(report.part)
    return [
        as_part(report, report.part, report.broker_order_id)
        if report.part in EXITS and len(parts[report.broker_order_id]) > 1
        else report
        for report in reports
    ]
