"""The table of transitions, by cases and by property."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.orders.life import as_markdown
from apps.orders.states import (
    AT_BROKER,
    FACTS,
    TERMINAL,
    TRANSITIONS,
    Event,
    Status,
    destination,
)

BROKER_FACTS = [Event.ACCEPT, Event.WORK, Event.PARTIAL]
ENDS = [Event.FILL, Event.CANCEL, Event.REJECT, Event.EXPIRE]
END_OF = {
    Event.FILL: Status.FILLED,
    Event.CANCEL: Status.CANCELLED,
    Event.REJECT: Status.REJECTED,
    Event.EXPIRE: Status.EXPIRED,
}
MAY_HAVE_LEFT = [
    Status.APPROVED,
    Status.SENDING,
    Status.UNKNOWN,
    Status.NEVER_ARRIVED,
    Status.LAPSED,
    Status.DENIED,
]


def run(status: Status, events: tuple[Event, ...]) -> Status:
    for event in events:
        status = destination(status, event) or status
    return status


@pytest.mark.parametrize("start", MAY_HAVE_LEFT)
@pytest.mark.parametrize("end", ENDS)
def test_every_order_of_the_same_facts_ends_in_the_same_status(start, end):
    for events in permutations([*BROKER_FACTS, end]):
        assert run(start, events) == END_OF[end], events


@given(st.lists(st.sampled_from(sorted(FACTS)), max_size=12), st.sampled_from(list(Status)))
def test_a_fact_never_takes_an_order_back_before_the_broker(facts, start):
    status = start
    for fact in facts:
        after = destination(status, fact)
        if after is not None and status in AT_BROKER | TERMINAL:
            assert after in AT_BROKER | TERMINAL
        status = after or status


@given(st.sampled_from(list(Status)), st.lists(st.sampled_from(list(Event)), max_size=15))
def test_a_filled_order_stays_filled(start, events):
    status = run(Status.FILLED, tuple(events))
    assert status == Status.FILLED


def test_fills_that_crossed_the_cancel_win():
    assert run(Status.OPEN, (Event.CANCEL, Event.FILL)) == Status.FILLED
    assert run(Status.OPEN, (Event.FILL, Event.CANCEL)) == Status.FILLED


def test_only_evidence_ends_unknown():
    ends = {event for (status, event), to in TRANSITIONS.items() if status is Status.UNKNOWN}
    assert ends == {
        Event.PROVE_ABSENT,
        Event.RELEASE,  # the broker's own statement, seen by two people
        Event.REFUSE,
        Event.ACCEPT,
        Event.WORK,
        Event.PARTIAL,
        Event.FILL,
        Event.CANCEL,
        Event.REJECT,
        Event.EXPIRE,
    }


@pytest.mark.parametrize(
    "status", sorted(TERMINAL - {Status.NEVER_ARRIVED, Status.LAPSED, Status.DENIED})
)
def test_nothing_of_ours_revives_an_order_that_is_over(status):
    for event in set(Event) - FACTS - {Event.WANT_CANCEL, Event.NOTE}:
        assert destination(status, event) in {None, status}


def test_nothing_is_sent_from_any_status_but_approved():
    assert [status for (status, event) in TRANSITIONS if event is Event.CLAIM] == [Status.APPROVED]


def test_only_an_order_in_doubt_can_be_released():
    released = {key: to for key, to in TRANSITIONS.items() if key[1] is Event.RELEASE}
    assert released == {(Status.UNKNOWN, Event.RELEASE): Status.NEVER_ARRIVED}


@given(st.lists(st.sampled_from(list(Event)), max_size=15))
def test_nothing_of_ours_sends_a_released_order_again(events):
    passed = {Status.NEVER_ARRIVED}
    status = Status.NEVER_ARRIVED
    for event in events:
        status = destination(status, event) or status
        passed.add(status)
    assert not passed & {Status.NEW, Status.AWAITING_APPROVAL, Status.APPROVED, Status.SENDING}


def test_the_document_says_what_the_table_says():
    root = Path(__file__).resolve().parents[2]
    assert (root / "docs" / "order-life.md").read_text() == as_markdown()
