"""The life of one order as one list: decisions, wire calls, events, fills and changes of terms."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from apps.brokers.models import CallOutcome, WireCall
from apps.desk import words
from apps.orders import approving, releasing
from apps.orders.models import Order, OrderEvent
from apps.risk.models import Approval, Decision, Verdict
from apps.signals.models import FATE_TONES, Fate, Signal

_CALL_TONES = {
    CallOutcome.ACCEPTED: "good",
    CallOutcome.REFUSED: "bad",
    CallOutcome.UNKNOWN: "alarm",
    CallOutcome.NOT_SENT: "bad",
}

_ASKED = {approving.KIND: "A second person is asked", releasing.KIND: "Its release is asked for"}


@dataclass(frozen=True)
class Entry:
    """One moment. ``kind`` names the table it comes from; ``since`` is the time after the last."""

    at: dt.datetime
    kind: str
    title: str
    tone: str = "quiet"
    text: str = ""
    applied: bool = True
    facts: list[tuple[str, object]] = field(default_factory=list)
    refusals: list[dict[str, str]] = field(default_factory=list)
    inputs: list[tuple[str, object]] = field(default_factory=list)
    papers: list[tuple[str, Any]] = field(default_factory=list)
    since: dt.timedelta | None = None


def of(order: Order) -> list[Entry]:
    """Everything known of the order, oldest first, with the time since the entry before."""
    return _in_order(_entries(order))


def of_signal(signal: Signal) -> list[Entry]:
    """Everything known of the signal, and of the order that came of it."""
    entries = [_heard(signal)]
    if signal.acted_at:
        entries.append(_fate(signal))
    return _in_order([*entries, *_entries_of_own(signal.order)] if signal.order else entries)


def fate_tone(fate: str) -> str:
    """The colour of what became of a signal."""
    return FATE_TONES[Fate(fate)]


def _in_order(found: Iterable[Entry]) -> list[Entry]:
    entries = sorted(found, key=lambda entry: entry.at)
    gaps = [entry.at - before.at for before, entry in pairwise(entries)]
    return [replace(e, since=gap) for e, gap in zip(entries, [None, *gaps], strict=True)]


def _entries(order: Order) -> Iterator[Entry]:
    for signal in Signal.objects.filter(order=order).select_related("source"):
        yield _heard(signal)
    yield from _entries_of_own(order)


def _heard(signal: Signal) -> Entry:
    on_the_way = signal.received_at - signal.sent_at
    return Entry(
        signal.received_at,
        "Signal",
        f"{signal.source.name}: {signal.in_words}",
        text=str(signal.wish.get("reason", "")),
        facts=[
            ("Number", signal.pk),
            ("Sender's id", signal.sender_id or "–"),
            ("Sender's time", words.ist(signal.sent_at)),
            ("On the way", words.lasting(on_the_way)),
            *([("Test", "never reaches a live account")] if signal.test else []),
        ],
        papers=[("As it came", signal.body)],
    )


def _fate(signal: Signal) -> Entry:
    return Entry(
        signal.acted_at or signal.received_at,
        "Fate",
        signal.get_fate_display(),
        fate_tone(signal.fate),
        text=signal.reason,
        facts=[("Tries", signal.tries)],
    )


def _entries_of_own(order: Order) -> Iterator[Entry]:
    asked_by = f"{order.get_source_display()}, {order.actor}"
    yield Entry(
        order.created_at, "Request", "Asked for", text=order.cause, facts=[("By", asked_by)]
    )
    for decision in Decision.objects.filter(correlation_id=order.correlation_id):
        yield _decision(decision)
    subjects = {order.correlation_id, approving.subject_of(order)}
    for approval in Approval.objects.filter(kind__in=_ASKED, subject__in=subjects):
        yield from _approval(approval)
    for call in WireCall.objects.filter(correlation_id=order.correlation_id):
        yield _call(call)
    yield from (_event(event) for event in order.events.all())
    for fill in order.fills.all():
        yield Entry(
            fill.recorded_at,
            "Fill",
            f"{words.grouped(fill.quantity)} at {words.rupees(fill.price)}",
            "good",
            facts=[
                ("Trade", fill.exchange_trade_id),
                ("At the exchange", words.ist(fill.traded_at)),
            ],
        )
    for change in order.modifications.all():
        terms = f"{words.grouped(change.quantity)} at {words.rupees(change.price)}"
        yield Entry(
            change.requested_at,
            "Change of terms",
            f"{terms}: {change.get_status_display().lower()}",
            text=change.cause,
            facts=[("By", change.actor), ("Answer", change.reason or "–")],
        )


def _decision(decision: Decision) -> Entry:
    yes = decision.allowed
    word = "new terms" if decision.action == "MODIFY" else "order"
    return Entry(
        decision.decided_at,
        "Decision",
        f"Risk {'allows' if yes else 'refuses'} the {word}",
        "good" if yes else "bad",
        facts=[("Good until", words.ist(decision.expires_at))] if yes else [],
        refusals=decision.refusals,
        inputs=_flat(decision.inputs),
    )


def _approval(approval: Approval) -> Iterator[Entry]:
    by: list[tuple[str, object]] = [("By", approval.requested_by)]
    until: list[tuple[str, object]] = [("Until", words.ist(approval.expires_at))]
    asked = _ASKED[approval.kind]
    yield Entry(approval.requested_at, "Approval", asked, "wait", approval.reason, facts=by + until)
    if approval.decided_at is None:
        return
    yield Entry(
        approval.decided_at,
        "Approval",
        approval.get_decision_display(),
        "good" if approval.decision == Verdict.APPROVED else "bad",
        text=approval.decision_reason,
        facts=[("By", approval.decided_by or "–"), ("Result", approval.result or "–")],
    )


def _call(call: WireCall) -> Entry:
    outcome = CallOutcome(call.outcome).label if call.outcome else "no answer yet"
    facts: list[tuple[str, object]] = [
        ("HTTP status", call.http_status or "–"),
        ("Took", words.lasting(call.duration)),
        ("Left", words.ist(call.sent_at)),
    ]
    return Entry(
        call.created_at,
        "Wire call",
        f"{call.what.capitalize()}: {outcome.lower()}",
        _CALL_TONES.get(CallOutcome(call.outcome), "wait") if call.outcome else "wait",
        text=call.text,
        facts=facts,
        papers=[("Request", call.request), ("Response", call.response)],
    )


def _event(event: OrderEvent) -> Entry:
    moved = event.before != event.after
    way = f"{words.status_word(event.before)} → {words.status_word(event.after)}"
    title = way if moved else event.event.replace("_", " ").capitalize()
    facts: list[tuple[str, object]] = [("Event", event.event), ("From", event.origin)]
    if event.actor:
        facts.append(("By", event.actor))
    if event.reported_at:
        facts.append(("Broker's time", words.ist(event.reported_at)))
    facts += [(name.replace("_", " ").capitalize(), value) for name, value in event.facts.items()]
    return Entry(
        event.at,
        "Event",
        title,
        words.status_tone(event.after) if event.applied else "alarm",
        text=event.text,
        applied=event.applied,
        facts=facts,
        papers=[("What the broker said", event.raw)] if event.raw else [],
    )


def _flat(inputs: dict[str, Any], before: str = "") -> list[tuple[str, object]]:
    """Nested values as one table of names and values."""
    rows: list[tuple[str, object]] = []
    for name, value in inputs.items():
        label = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            rows += _flat(value, f"{label}: ")
        else:
            rows.append((label, "not known" if value is None else value))
    return rows
