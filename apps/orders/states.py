"""The life of an order: its statuses, what can happen to it, and the one table of transitions.

Commands are ours: one that the table does not allow is a bug. Facts are the broker's: one that
does not fit is kept and alerted, and changes nothing. Facts only move an order forward.
"""

from __future__ import annotations

from enum import StrEnum

from apps.brokers.port import BrokerState


class Status(StrEnum):
    """Where an order is in its life."""

    NEW = "NEW"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    APPROVED = "APPROVED"
    SENDING = "SENDING"
    SUBMITTED = "SUBMITTED"
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    UNKNOWN = "UNKNOWN"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"
    DENIED = "DENIED"
    REJECTED = "REJECTED"
    LAPSED = "LAPSED"
    NEVER_ARRIVED = "NEVER_ARRIVED"
    IMPORTED = "IMPORTED"


TERMINAL = frozenset(
    {
        Status.FILLED,
        Status.CANCELLED,
        Status.EXPIRED,
        Status.DENIED,
        Status.REJECTED,
        Status.LAPSED,
        Status.NEVER_ARRIVED,
        Status.IMPORTED,
    }
)
AT_BROKER = frozenset({Status.SUBMITTED, Status.OPEN, Status.PARTIALLY_FILLED})
IN_DOUBT = frozenset({Status.SENDING, Status.UNKNOWN})


class Event(StrEnum):
    """What can happen to an order. The first group is ours, the second the broker's."""

    ADOPT = "ADOPT"
    APPROVE = "APPROVE"
    ASK_APPROVAL = "ASK_APPROVAL"
    DENY = "DENY"
    CLAIM = "CLAIM"
    HAND_BACK = "HAND_BACK"
    LAPSE = "LAPSE"
    WITHDRAW = "WITHDRAW"
    ABANDON = "ABANDON"
    OUTLIVE = "OUTLIVE"
    LOSE = "LOSE"
    PROVE_ABSENT = "PROVE_ABSENT"
    RELEASE = "RELEASE"
    IMPORT = "IMPORT"
    WANT_CANCEL = "WANT_CANCEL"
    NOTE = "NOTE"

    ACCEPT = "ACCEPT"
    REFUSE = "REFUSE"
    WORK = "WORK"
    PARTIAL = "PARTIAL"
    FILL = "FILL"
    CANCEL = "CANCEL"
    REJECT = "REJECT"
    EXPIRE = "EXPIRE"
    UNRECOGNISED = "UNRECOGNISED"


FACTS = frozenset(
    {
        Event.ACCEPT,
        Event.REFUSE,
        Event.WORK,
        Event.PARTIAL,
        Event.FILL,
        Event.CANCEL,
        Event.REJECT,
        Event.EXPIRE,
        Event.UNRECOGNISED,
    }
)

EVENT_OF: dict[BrokerState, Event] = {
    BrokerState.IN_TRANSIT: Event.ACCEPT,
    BrokerState.WORKING: Event.WORK,
    BrokerState.PARTIALLY_FILLED: Event.PARTIAL,
    BrokerState.FILLED: Event.FILL,
    BrokerState.CANCELLED: Event.CANCEL,
    BrokerState.REJECTED: Event.REJECT,
    BrokerState.EXPIRED: Event.EXPIRE,
    BrokerState.UNRECOGNISED: Event.UNRECOGNISED,
}

_ARRIVES = {
    Event.ACCEPT: Status.SUBMITTED,
    Event.WORK: Status.OPEN,
    Event.PARTIAL: Status.PARTIALLY_FILLED,
    Event.FILL: Status.FILLED,
    Event.CANCEL: Status.CANCELLED,
    Event.REJECT: Status.REJECTED,
    Event.EXPIRE: Status.EXPIRED,
}


def _row(status: Status, moves: dict[Event, Status]) -> dict[tuple[Status, Event], Status]:
    return {(status, event): to for event, to in moves.items()}


def _stay(status: Status, *events: Event) -> dict[tuple[Status, Event], Status]:
    return {(status, event): status for event in events}


TRANSITIONS: dict[tuple[Status, Event], Status] = {
    **_row(
        Status.NEW,
        {
            Event.APPROVE: Status.APPROVED,
            Event.ASK_APPROVAL: Status.AWAITING_APPROVAL,
            Event.DENY: Status.DENIED,
            Event.ADOPT: Status.SUBMITTED,  # made outside the desk: the broker has it already
            # Another system's history: whatever it was there, here it never moves again.
            Event.IMPORT: Status.IMPORTED,
        },
    ),
    **_row(
        Status.AWAITING_APPROVAL,
        {
            Event.APPROVE: Status.APPROVED,
            Event.DENY: Status.DENIED,
            Event.LAPSE: Status.LAPSED,
            Event.WITHDRAW: Status.CANCELLED,
        },
    ),
    **_row(
        Status.APPROVED,
        {
            Event.CLAIM: Status.SENDING,
            Event.LAPSE: Status.LAPSED,
            Event.DENY: Status.DENIED,
            Event.WITHDRAW: Status.CANCELLED,
            Event.LOSE: Status.UNKNOWN,
            **_ARRIVES,
        },
    ),
    # Feed news may come before the reply does; the answer "no" is evidence in both doubts.
    **_row(
        Status.SENDING,
        {
            Event.HAND_BACK: Status.APPROVED,
            Event.ABANDON: Status.CANCELLED,
            Event.LAPSE: Status.LAPSED,
            Event.LOSE: Status.UNKNOWN,
            Event.REFUSE: Status.REJECTED,
            **_ARRIVES,
        },
    ),
    # Proved by the desk, or released by two people who have seen the broker's own statement.
    **_row(
        Status.UNKNOWN,
        {
            Event.PROVE_ABSENT: Status.NEVER_ARRIVED,
            Event.RELEASE: Status.NEVER_ARRIVED,
            Event.REFUSE: Status.REJECTED,
            **_ARRIVES,
        },
    ),
    # A day order that outlived its day: the books of that day are gone, a person must compare.
    **_row(Status.SUBMITTED, {**_ARRIVES, Event.OUTLIVE: Status.UNKNOWN}),
    **_row(Status.OPEN, {**_ARRIVES, Event.ACCEPT: Status.OPEN, Event.OUTLIVE: Status.UNKNOWN}),
    **_row(
        Status.PARTIALLY_FILLED,
        {
            **_ARRIVES,
            Event.ACCEPT: Status.PARTIALLY_FILLED,
            Event.WORK: Status.PARTIALLY_FILLED,
            Event.OUTLIVE: Status.UNKNOWN,
        },
    ),
    # Late news of an earlier time changes nothing; fills may cross a cancel or an expiry.
    **_stay(Status.FILLED, Event.ACCEPT, Event.WORK, Event.PARTIAL, Event.FILL),
    **_stay(Status.CANCELLED, Event.ACCEPT, Event.WORK, Event.PARTIAL, Event.CANCEL),
    **_stay(Status.EXPIRED, Event.ACCEPT, Event.WORK, Event.PARTIAL, Event.EXPIRE),
    **_stay(Status.REJECTED, Event.ACCEPT, Event.WORK, Event.PARTIAL, Event.REJECT, Event.REFUSE),
    **{
        (status, Event.FILL): Status.FILLED
        for status in (Status.CANCELLED, Status.EXPIRED, Status.REJECTED)
    },
    # The reply was lost after the feed had spoken: nothing is unknown.
    **{
        (status, Event.LOSE): status
        for status in (*AT_BROKER, *TERMINAL - {Status.DENIED, Status.LAPSED, Status.IMPORTED})
    },
    # It was proved absent or released, or we thought that it never left: the broker is right.
    **_row(Status.NEVER_ARRIVED, _ARRIVES),
    **_row(Status.LAPSED, {**_ARRIVES, Event.LOSE: Status.UNKNOWN}),
    **_row(Status.DENIED, {**_ARRIVES, Event.LOSE: Status.UNKNOWN}),
}


def destination(status: Status, event: Event, *, named: bool = True) -> Status | None:
    """Where ``event`` takes an order in ``status``; None when it does not fit.

    ``named`` says whether the broker ever gave the order an id. A cancelled or rejected order
    that it never named was not at the broker, so its facts count as an arrival.
    """
    if event in {Event.WANT_CANCEL, Event.NOTE}:
        return status
    if not named and event in FACTS and status in {Status.CANCELLED, Status.REJECTED}:
        return status if event is Event.REFUSE else TRANSITIONS.get((Status.LAPSED, event))
    return TRANSITIONS.get((status, event))
