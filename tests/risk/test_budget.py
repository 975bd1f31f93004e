"""The rate budget counted from the journal."""

from __future__ import annotations

import datetime as dt

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from apps.brokers import budget
from apps.brokers.budget import Budget, Priority, allowed, used, wait_needed
from apps.brokers.models import BrokerAccount, CallOutcome, WireCall
from apps.brokers.port import ReadFailed
from apps.brokers.slots import open_read
from apps.orders import services, sweep
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Source

quick = how(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
pytestmark = pytest.mark.django_db(transaction=True)


def calls(
    account,
    count: int,
    seconds_ago: float,
    budget: Budget = Budget.READ,
    answered: float | None = None,
    open_still: bool = False,
) -> None:
    """Calls written so many seconds ago, and answered then unless it says otherwise."""
    now = timezone.now()
    at = now - dt.timedelta(seconds=seconds_ago)
    WireCall.objects.bulk_create(
        WireCall(
            account=account,
            verb="READ",
            what="test",
            budget=budget,
            created_at=at,
            send_by=at,
            boot_at=0,
        )
        for _ in range(count)
    )
    if open_still:
        return
    answered_at = at if answered is None else now - dt.timedelta(seconds=answered)
    WireCall.objects.filter(outcome="").update(
        outcome=CallOutcome.ANSWERED, answered_at=answered_at
    )


def test_calls_are_counted_in_each_window(account):
    for count, ago in ((2, 0.1), (3, 30), (5, 1000), (7, 40_000), (11, 100_000)):
        calls(account, count, ago, Budget.ORDER)
    assert used(account, Budget.ORDER, timezone.now()) == {1: 2, 60: 5, 3600: 10, 86400: 17}


def test_another_account_and_another_class_do_not_count(account, make_account):
    other = make_account("beta", "1000000002")
    calls(other, 50, 0.1, Budget.ORDER)
    calls(account, 50, 0.1, Budget.QUOTE)
    assert wait_needed(account, Budget.ORDER) is None


@pytest.mark.parametrize(
    ("made", "priority", "may_go"),
    [
        (6, Priority.ENTRY, True),
        (7, Priority.ENTRY, False),
        (8, Priority.CANCEL, True),
        (9, Priority.CANCEL, False),
        (9, Priority.EXIT, True),
        (10, Priority.EXIT, False),
    ],
)
def test_slots_are_kept_for_exits_and_cancels(account, made, priority, may_go):
    calls(account, made, 0.1, Budget.ORDER)
    assert (wait_needed(account, Budget.ORDER, priority) is None) is may_go


@pytest.mark.parametrize(("made", "ago"), [(175, 30), (700, 1800), (4900, 40_000)])
def test_the_longer_windows_hold_entries_back_too(account, made, ago):
    calls(account, made, ago, Budget.ORDER)
    assert wait_needed(account, Budget.ORDER, Priority.ENTRY) is not None
    assert wait_needed(account, Budget.ORDER, Priority.EXIT) is None


@pytest.mark.parametrize(
    ("more", "counted"), [({}, 0), ({"answered": 0.8}, 1), ({"open_still": True}, 1)]
)
def test_a_call_counts_until_a_second_after_its_answer(account, more, counted):
    """It reached the broker before it was answered, but nobody knows how long before."""
    calls(account, 1, 1.5, Budget.ORDER, **more)
    assert used(account, Budget.ORDER, timezone.now())[1] == counted


def test_a_call_that_is_never_answered_frees_its_slot_all_the_same(account):
    calls(account, 10, 2.5, Budget.ORDER, open_still=True)
    assert used(account, Budget.ORDER, timezone.now())[1] == 0


def test_the_wait_ends_when_the_next_slot_of_its_own_comes_free(account):
    for ago in (1.0, 0.9, 0.3, 0.2):
        calls(account, 5 if ago == 0.2 else 2, ago, Budget.ORDER)
    exit_waits = wait_needed(account, Budget.ORDER, Priority.EXIT)
    entry_waits = wait_needed(account, Budget.ORDER, Priority.ENTRY)
    assert dt.timedelta(seconds=0) < exit_waits <= dt.timedelta(seconds=0.26)
    assert dt.timedelta(seconds=0.5) < entry_waits <= dt.timedelta(seconds=0.9)


@quick
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 3), st.sampled_from([0.0, 0.5, 7, 29, 31, 61])),
        min_size=1,
        max_size=12,
    )
)
def test_what_was_counted_lately_never_lets_more_calls_go(steps, make_account, monkeypatch):
    """Calls come, some provably never left, time passes: the answer is that of a whole count."""
    monkeypatch.setitem(budget.WINDOWS, Budget.ORDER, {1: 4, 60: 9, 3600: 14, 86400: 30})
    number = BrokerAccount.objects.count()
    account = make_account(f"one-{number}", f"{2_000_000_000 + number}")
    now = timezone.now()
    for made, unsent, pause in steps:
        with time_machine.travel(now, tick=False):
            calls(account, made, 0, Budget.ORDER, open_still=True)
            rows = WireCall.objects.filter(account=account, budget="ORDER").order_by("-pk")
            gone = list(rows.values_list("pk", flat=True)[:unsent])
            WireCall.objects.filter(pk__in=gone, outcome="").update(outcome="NOT_SENT")
            whole = used(account, Budget.ORDER, timezone.now())
            for priority in Priority:
                full = any(whole[w] >= allowed(Budget.ORDER, w, priority) for w in whole)
                assert (wait_needed(account, Budget.ORDER, priority) is not None) == full
        now += dt.timedelta(seconds=pause)


def test_calls_that_were_being_written_while_others_counted_are_not_missed(account, monkeypatch):
    monkeypatch.setitem(budget.WINDOWS, Budget.ORDER, {3600: 6})
    assert wait_needed(account, Budget.ORDER) is None
    calls(account, 6, 15, Budget.ORDER)
    assert wait_needed(account, Budget.ORDER) is not None


def test_a_days_calls_are_not_counted_for_every_call(account):
    wait_needed(account, Budget.ORDER)
    with CaptureQueriesContext(connection) as asked:
        wait_needed(account, Budget.ORDER)
    (one,) = asked
    assert "86400" not in one["sql"]


def test_a_full_hour_is_looked_at_again_soon(account):
    calls(account, 1000, 600, Budget.ORDER)
    assert wait_needed(account, Budget.ORDER) == dt.timedelta(seconds=5)


@pytest.mark.parametrize("window", [1, 60, 3600, 86400])
def test_in_every_window_exits_have_slots_that_nothing_else_takes(window):
    entries, cancels, exits = (
        allowed(Budget.ORDER, window, priority)
        for priority in (Priority.ENTRY, Priority.CANCEL, Priority.EXIT)
    )
    assert entries < cancels < exits


def test_reads_and_quotes_take_no_slot_of_orders(account):
    calls(account, 20, 0.1, Budget.READ)
    calls(account, 1, 0.1, Budget.QUOTE)
    assert wait_needed(account, Budget.ORDER, Priority.ENTRY) is None
    calls(account, 10, 0.1, Budget.ORDER)
    other = wait_needed(account, Budget.QUOTE)
    assert other is not None
    assert used(account, Budget.READ, timezone.now()) == {1: 20}


def test_what_an_entry_would_tie_up_is_not_asked_when_others_need_to_read(account, monkeypatch):
    monkeypatch.setattr("apps.brokers.slots.PATIENCE", 0.0)
    calls(account, 14, 0.1, Budget.READ)
    with pytest.raises(ReadFailed, match="no free call"):
        open_read(account, "margin", Budget.READ, Priority.ENTRY)
    assert open_read(account, "positions", Budget.READ).pk


def test_an_entry_that_waits_asks_again_without_the_lock_of_the_account(
    account, intent, trader, no_bells
):
    calls(account, 7, 0.0, Budget.ORDER)
    order = services.place(intent(), trader, Source.COMMAND)
    dispatch(order.pk)
    calls(account, 7, 0.0, Budget.ORDER)
    Order.objects.filter(pk=order.pk).update(not_before=timezone.now())
    with CaptureQueriesContext(connection) as asked:
        dispatch(order.pk)
    assert not [one for one in asked.captured_queries if "FOR UPDATE" in one["sql"]]
    order.refresh_from_db()
    assert (order.status, order.not_before > timezone.now()) == ("APPROVED", True)


def test_the_sweep_rings_no_more_entries_than_could_leave_and_forgets_no_account(
    account, make_account, intent, trader, no_bells
):
    crowd = [services.place(intent(), trader, Source.COMMAND) for _ in range(17)]
    other = services.place(
        intent(account=make_account("beta", "1000000002")), trader, Source.COMMAND
    )
    Order.objects.update(not_before=timezone.now())
    no_bells.clear()
    sweep._ring_orders()
    rung = [pk for _, pk in no_bells]
    assert sorted(rung) == [order.pk for order in crowd[:14]] + [other.pk]


def test_an_order_over_the_budget_waits_and_is_sent_later(account, intent, trader, no_bells):
    calls(account, 7, 0.1, Budget.ORDER)
    order = services.place(intent(), trader, Source.COMMAND)
    dispatch(order.pk)
    order.refresh_from_db()
    assert order.status == "APPROVED"
    assert order.not_before > timezone.now()
    assert not WireCall.objects.filter(verb="PLACE").exists()
    Order.objects.filter(pk=order.pk).update(not_before=None)
    with pytest.MonkeyPatch.context() as patch:
        for place in ("apps.risk.gate", "apps.orders.dispatch"):
            patch.setattr(f"{place}.wait_needed", lambda *_: None)
        dispatch(order.pk)
    order.refresh_from_db()
    assert order.status == "SUBMITTED"


def test_a_burst_brings_no_429_from_the_exchange(account, intent, trader, exchange, no_bells):
    exchange.control("limits", on=True)
    orders = [services.place(intent(), trader, Source.COMMAND) for _ in range(20)]
    for order in orders:
        dispatch(order.pk)
    assert exchange.report()["rate_limited"] == 0


def limits(text: str) -> dict[int, int]:
    from tradingops.settings import _windows

    return _windows(text)


def test_the_order_limits_are_read_from_the_environment():
    assert limits("1:10, 60:250") == {1: 10, 60: 250}


@pytest.mark.parametrize("text", ["", "10", "1:x", "0:5", "1:0", "60:1,1:1", "1:1,1:2", "1:-5"])
def test_order_limits_that_make_no_sense_stop_the_start(text):
    with pytest.raises(ImproperlyConfigured, match="ORDER_LIMITS"):
        limits(text)
