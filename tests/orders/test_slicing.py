"""Above the freeze quantity: one whole, slice after slice, with an exact remainder."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.utils import DatabaseError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers import reporting
from apps.brokers.models import Instrument, WireCall
from apps.brokers.port import Intent, OrderType, Side
from apps.orders import dispatch, lifecycle, services, slices, wholes
from apps.orders.ingest import apply_report
from apps.orders.lifecycle import Happening
from apps.orders.models import Order, Slicing, Source
from apps.orders.services import BadOrder, TooLate
from apps.orders.states import Event
from apps.orders.sweep import sweep
from apps.risk.models import Decision, Hold, Permit, RiskPolicy
from tests.orders.telling import FILLED, report, sent, settled

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("quick_times", "frozen"),
]
FREEZE = 4


@pytest.fixture
def frozen(reliance) -> Instrument:
    """The exchange takes at most four of it in one order."""
    reliance.freeze_quantity = FREEZE
    reliance.save()
    return reliance


@pytest.fixture
def begin(place) -> Callable[..., Slicing]:
    """A whole whose first slice is reviewed and nothing else."""

    def make(quantity: int = 10, **different: Any) -> Slicing:
        first = place(quantity=quantity, **different)
        assert first.parent is not None, first.reason
        return first.parent

    return make


@pytest.fixture
def placed(begin) -> Callable[..., Slicing]:
    """All of its slices are at the exchange."""

    def make(quantity: int = 10, **different: Any) -> Slicing:
        whole = begin(quantity, **different)
        dispatch.dispatch(whole.slices.get().pk)
        slices.advance(whole.pk)
        whole.refresh_from_db()
        return whole

    return make


def orders_of(whole: Slicing) -> list[Order]:
    return list(whole.slices.order_by("slice_number"))


def statuses(whole: Slicing) -> list[str]:
    return [order.status for order in orders_of(whole)]


def left_of(whole: Slicing) -> int:
    whole.refresh_from_db()
    return wholes.standing_of(whole, orders_of(whole)).left


def policy(account, **changed: Any) -> None:
    now = RiskPolicy.objects.filter(account=account).first()
    fields = {f.name: getattr(now, f.name) for f in now._meta.fields if f.name != "id"}
    RiskPolicy.objects.create(**fields | {"version": now.version + 1} | changed)


def reject(order: Order) -> None:
    """Rejected by the exchange."""
    happening = Happening(event=Event.REJECT, origin="test", text="RMS: no")
    lifecycle.apply(order.pk, happening)


def turned_away(exchange, account, order: Order) -> None:
    """Rejected by the exchange, and read from its book."""
    order.refresh_from_db()
    exchange.control("reject", orderId=order.broker_order_id, reason="RMS: no")
    settled(account)
    order.refresh_from_db()
    assert order.status == "REJECTED"


def lose(order: Order) -> None:
    lifecycle.apply(order.pk, Happening(event=Event.CLAIM, origin="test"))
    lifecycle.apply(order.pk, Happening(event=Event.LOSE, origin="test", text="lost"))


class TestPlacing:
    def test_every_slice_is_an_order_of_its_own(self, placed, exchange, trader):
        whole = placed(10)
        orders = orders_of(whole)
        assert [order.quantity for order in orders] == [4, 4, 2]
        assert whole.status == "PLACED"
        for number, order in enumerate(orders, 1):
            assert (order.slice_number, order.slice_of, order.actor) == (number, 3, trader.name)
            assert len(exchange.accepted(order.correlation_id)) == 1
            assert Decision.objects.get(correlation_id=order.correlation_id).allowed
            assert Hold.objects.get(correlation_id=order.correlation_id).quantity == order.quantity
            assert Permit.objects.filter(correlation_id=order.correlation_id).count() == 1
        assert len({order.correlation_id for order in orders}) == 3
        assert [order.request_key for order in orders][1:] == [
            f"slice:{whole.pk}:2",
            f"slice:{whole.pk}:3",
        ]

    def test_the_next_slice_waits_until_the_one_before_has_left(self, begin, exchange):
        whole = begin()
        slices.advance(whole.pk)
        assert statuses(whole) == ["APPROVED"]
        assert exchange.report()["orders"] == 0

    def test_filled_whole_it_is_done(self, placed, account, exchange):
        whole = placed()
        settled(account)
        for order in orders_of(whole):
            exchange.control("fill", orderId=order.broker_order_id)
        settled(account)
        sweep(direct=True)
        whole.refresh_from_db()
        assert whole.status == "DONE"
        assert statuses(whole) == ["FILLED"] * 3
        assert whole.finished_at is not None

    def test_asked_for_twice_it_is_one_whole(self, intent, trader, no_bells):
        first = services.place(intent(quantity=10), trader, Source.ADMIN, request_key="k")
        again = services.place(intent(quantity=10), trader, Source.ADMIN, request_key="k")
        assert first == again
        assert Slicing.objects.count() == Order.objects.count() == 1

    def test_asked_for_again_under_another_freeze_quantity_it_is_still_one_wish(
        self, intent, trader, frozen, no_bells
    ):
        first = services.place(intent(quantity=10), trader, Source.ADMIN, request_key="k")
        frozen.freeze_quantity = 100
        frozen.save()
        assert services.place(intent(quantity=10), trader, Source.ADMIN, request_key="k") == first
        assert Order.objects.count() == 1

    def test_at_the_market_every_slice_has_its_own_price(self, placed, exchange, account):
        exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
        policy(account, max_quote_age=10)
        whole = placed(10, order_type=OrderType.MARKET, price=None)
        assert whole.price is None
        assert whole.order_type == "MARKET"
        orders = orders_of(whole)
        assert [order.asked_type for order in orders] == ["MARKET"] * 3
        assert all(order.price for order in orders)

    def test_within_the_freeze_quantity_it_is_an_order_as_ever(self, place):
        order = place(quantity=FREEZE)
        assert (order.parent, order.slice_number) == (None, None)
        assert "whole" not in Decision.objects.get().request
        assert not Slicing.objects.exists()

    def test_an_ordinary_order_costs_no_query_more(self, place, frozen):
        def queries() -> int:
            with CaptureQueriesContext(connection) as asked:
                order = place(quantity=1)
                dispatch.dispatch(order.pk)
            assert not [row for row in asked if "slicing" in row["sql"].partition("FROM")[2]]
            return len(asked)

        place(quantity=1)  # caches are warm from here on
        with_freeze = queries()
        frozen.freeze_quantity = None
        frozen.save()
        assert with_freeze == queries() == 35  # as many as before there were slices

    def test_nor_does_one_that_a_signal_sends_at_once(self, intent, trader, place):
        dispatch.dispatch(place(quantity=1).pk)  # caches are warm from here on
        with CaptureQueriesContext(connection) as asked:
            services.place_at_once(intent(), trader, Source.SIGNAL, "", "k", lambda _: None)
        assert len(asked) == 21  # as many as before there were slices

    def test_too_many_slices_are_no_order(self, place):
        with pytest.raises(BadOrder, match="quantity: would take 250 orders"):
            place(quantity=1000)
        assert not Order.objects.exists()


class TestRiskSeesTheWhole:
    def test_the_first_slice_refused_nothing_is_placed(self, begin, account):
        policy(account, max_order_quantity=9)
        whole = begin(10)
        assert whole.status == "REFUSED"
        assert "quantity 10 is above the limit 9" in whole.reason
        assert statuses(whole) == ["DENIED"]
        slices.advance(whole.pk)
        assert Order.objects.count() == 1

    def test_the_value_is_that_of_the_whole(self, begin, account):
        policy(account, max_order_value=13_999)
        assert "₹14,000.00 is above" in begin(10).reason
        policy(account, max_order_value=14_000)
        assert begin(10).status == "PLACING"

    def test_a_hold_reserves_what_its_slice_is_worth(self, placed):
        placed(10)
        assert [int(hold.value) for hold in Hold.objects.order_by("id")] == [5600, 5600, 2800]

    def test_what_is_no_multiple_of_the_lot_is_refused_as_a_whole(self, begin, frozen):
        frozen.lot_size = 2
        frozen.save()
        whole = begin(9)
        assert whole.status == "REFUSED"
        assert "quantity 9 is not a multiple of the lot 2" in whole.reason

    def test_the_open_orders_limit_counts_slices(self, placed, account):
        policy(account, max_open_orders=2)
        whole = placed(10)
        assert whole.status == "STOPPED"
        assert "2 orders are open, the limit is reached" in whole.reason
        assert left_of(whole) == 2

    def test_a_slice_cannot_be_made_larger(self, placed, account, trader):
        whole = placed(10)
        settled(account)
        last = orders_of(whole)[-1]
        with pytest.raises(BadOrder, match="can only be made smaller"):
            services.modify(last, trader, "more", quantity=3)


class TestStops:
    def test_a_rejected_slice_stops_it_with_an_exact_remainder(self, placed, account):
        whole = placed(10)
        settled(account)
        reject(orders_of(whole)[1])
        sweep(direct=True)
        whole.refresh_from_db()
        assert (whole.status, whole.stops, left_of(whole)) == ("STOPPED", 1, 4)
        assert whole.reason == "slice 2 is rejected (RMS: no)"
        alert = Alert.objects.get(key=f"slices:{whole.public_id}")
        assert "4 of 10 are left: resume or drop them" in alert.text

    def test_while_it_is_placed_a_rejection_stops_the_rest(self, begin):
        whole = begin()
        order = sent(orders_of(whole)[0])
        reject(order)
        slices.advance(whole.pk)
        assert left_of(whole) == 10
        assert (whole.status, statuses(whole)) == ("STOPPED", ["REJECTED"])

    def test_a_part_filled_slice_that_ended_leaves_the_difference(self, placed, account, exchange):
        whole = placed(10)
        settled(account)
        second = orders_of(whole)[1]
        exchange.control("fill", orderId=second.broker_order_id, quantity=1)
        settled(account)
        services.cancel(second, services.Actor(name="x"), "enough")
        sweep(direct=True)
        settled(account)
        sweep(direct=True)
        assert left_of(whole) == 3
        assert whole.status == "STOPPED"
        assert "cancelled with 1 of 4" in whole.reason

    def test_a_slice_in_doubt_counts_as_alive_and_the_next_entry_waits(self, begin):
        whole = begin()
        lose(orders_of(whole)[0])
        slices.advance(whole.pk)
        assert statuses(whole) == ["UNKNOWN"]
        assert left_of(whole) == 6
        assert whole.status == "PLACING"
        assert not slices.due().exists()

    def test_an_entry_that_nobody_placed_in_time_stops(self, begin, settings):
        whole = begin()
        reject_nothing = sent(orders_of(whole)[0])
        old = timezone.now() - dt.timedelta(seconds=settings.DECISION_LIFETIME + 1)
        stages = ("created_at", "approved_at", "claimed_at", "submitted_at")
        Order.objects.filter(pk=reject_nothing.pk).update(**dict.fromkeys(stages, old))
        Slicing.objects.filter(pk=whole.pk).update(moved_at=old)
        sweep()
        assert left_of(whole) == 6
        assert whole.status == "STOPPED"
        assert "was not placed within 30 s" in whole.reason

    def test_an_earlier_day_places_nothing_more_and_can_only_be_dropped(self, begin, trader):
        whole = begin()
        sent(orders_of(whole)[0])
        Slicing.objects.update(trading_day=timezone.localdate() - dt.timedelta(days=1))
        slices.advance(whole.pk)
        whole.refresh_from_db()
        assert (whole.status, whole.reason) == ("STOPPED", "its trading day is over")
        with pytest.raises(TooLate, match="trading day is over"):
            slices.resume(whole, trader, "go")
        assert slices.drop(whole, trader, "stale").status == "DROPPED"

    def test_a_smaller_freeze_quantity_between_slices_is_planned_anew(
        self, begin, frozen, exchange
    ):
        whole = begin(10)
        sent(orders_of(whole)[0])
        frozen.freeze_quantity = 3
        frozen.save()
        slices.advance(whole.pk)
        whole.refresh_from_db()
        assert whole.plan == [order.quantity for order in orders_of(whole)] == [4, 3, 3]
        assert whole.status == "PLACED"

    def test_a_freeze_quantity_that_shrinks_under_a_slice_stops_and_resumes(
        self, begin, frozen, trader
    ):
        """The row may change between the plan and the review: the gate says so."""
        whole = begin(10)
        sent(orders_of(whole)[0])
        read = wholes.replan
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wholes, "replan", lambda *_: Instrument.objects.update(freeze_quantity=3))
            slices.advance(whole.pk)
        assert wholes.replan is read
        assert left_of(whole) == 6
        assert whole.status == "STOPPED"
        assert "above the freeze quantity 3" in whole.reason
        slices.resume(whole, trader, "again")
        slices.advance(whole.pk)
        assert statuses(whole)[2:] == ["SUBMITTED", "SUBMITTED"]
        assert left_of(whole) == 0

    def test_an_instrument_retired_between_slices_stops_it(self, begin, frozen, trader):
        whole = begin(10)
        sent(orders_of(whole)[0])
        Instrument.every.filter(pk=frozen.pk).update(
            retired_at=timezone.now(), closed="REUSED", tradable=False
        )
        slices.advance(whole.pk)
        assert left_of(whole) == 6
        assert whole.status == "STOPPED"
        assert "cannot be traded" in whole.reason
        slices.resume(whole, trader, "try")
        slices.advance(whole.pk)
        whole.refresh_from_db()
        assert (whole.status, whole.stops) == ("STOPPED", 2)
        slices.drop(whole, trader, "it is gone")
        assert left_of(whole) == 0


class TestPeople:
    @pytest.fixture
    def stopped(self, placed, account, exchange) -> Slicing:
        whole = placed(10)
        settled(account)
        turned_away(exchange, account, orders_of(whole)[1])
        sweep(direct=True)
        whole.refresh_from_db()
        return whole

    def test_resumed_the_rest_is_placed_as_further_slices(self, stopped, trader, exchange):
        slices.resume(stopped, trader, "broker is back", stopped.stops)
        slices.advance(stopped.pk)
        stopped.refresh_from_db()
        assert (stopped.status, stopped.plan) == ("PLACED", [4, 4, 2, 4])
        fourth = orders_of(stopped)[3]
        assert (fourth.quantity, fourth.slice_of) == (4, 4)
        assert len(exchange.accepted(fourth.correlation_id)) == 1
        assert Alert.objects.get(key=f"slices:{stopped.public_id}").acknowledged_at is not None
        resumed = stopped.events.get(event="RESUME")
        assert (resumed.actor, resumed.text, resumed.left) == ("Alice", "broker is back", 4)

    def test_once_per_stop(self, stopped, trader, account, exchange):
        slices.resume(stopped, trader, "one", 1)
        with pytest.raises(TooLate, match="placing, not stopped"):
            slices.resume(stopped, trader, "two", 1)
        slices.advance(stopped.pk)
        settled(account)
        turned_away(exchange, account, orders_of(stopped)[3])
        sweep(direct=True)
        with pytest.raises(TooLate, match="stopped again meanwhile"):
            slices.resume(stopped, trader, "three", 1)
        stopped.refresh_from_db()
        assert "slice 4 is rejected" in stopped.reason
        assert "slice 2" not in stopped.reason  # that one was made good
        slices.resume(stopped, trader, "four", 2)
        assert stopped.slices.count() == 4

    def test_two_people_at_once_resume_it_once(self, stopped, trader):
        said = []

        def press() -> None:
            try:
                slices.resume(stopped, trader, "go", 1)
                said.append("resumed")
            except TooLate:
                said.append("late")
            finally:
                connections.close_all()

        pressing = [threading.Thread(target=press) for _ in range(4)]
        for thread in pressing:
            thread.start()
        for thread in pressing:
            thread.join()
        assert sorted(said) == ["late"] * 3 + ["resumed"]
        stopped.refresh_from_db()
        assert stopped.plan == [4, 4, 2, 4]

    @pytest.mark.parametrize("status", ["SENDING", "UNKNOWN"])
    def test_nobody_resumes_while_a_slice_is_in_doubt(
        self, begin, trader, status, placed, account, exchange
    ):
        whole = placed(10)
        settled(account)
        first, second, _ = orders_of(whole)
        turned_away(exchange, account, first)
        sweep(direct=True)
        Order.objects.filter(pk=second.pk).update(status=status)
        with pytest.raises(TooLate, match=f"slice 2 is {status}"):
            slices.resume(whole, trader, "go")

    def test_fills_that_a_cancelled_frame_left_out_are_not_placed_again(
        self, placed, trader, account, exchange
    ):
        whole = placed(10)
        settled(account)
        second = orders_of(whole)[1]
        exchange.control("fill", orderId=second.broker_order_id, quantity=3)
        exchange.control("expire", orderId=second.broker_order_id)
        lifecycle.apply(second.pk, Happening(event=Event.CANCEL, origin="feed"))
        sweep(direct=True)
        assert left_of(whole) == 4
        with pytest.raises(TooLate, match="does not show slice 2 as the desk does"):
            slices.resume(whole, trader, "go")
        settled(account)
        assert left_of(whole) == 1

    def test_nobody_resumes_while_the_book_cannot_be_read(self, stopped, trader, exchange):
        exchange.fault("http_500", "book")
        with pytest.raises(TooLate, match="what its slices filled cannot be read"):
            slices.resume(stopped, trader, "go")
        exchange.heal()
        assert slices.resume(stopped, trader, "go").status == "PLACING"

    def test_dropped_the_slices_at_work_go_on(self, stopped, trader):
        slices.drop(stopped, trader, "enough", 1)
        stopped.refresh_from_db()
        assert (stopped.status, stopped.dropped) == ("DROPPED", 4)
        assert statuses(stopped) == ["OPEN", "REJECTED", "OPEN"]
        with pytest.raises(TooLate, match="rest dropped, not stopped"):
            slices.resume(stopped, trader, "no")

    def test_what_only_stopped_can_be_dropped(self, placed, trader):
        with pytest.raises(TooLate, match="all placed, not stopped"):
            slices.drop(placed(10), trader, "no")

    def test_cancelled_every_slice_is_cancelled_and_nothing_more_is_placed(
        self, begin, trader, account
    ):
        whole = begin(10)
        sent(orders_of(whole)[0])
        slices.cancel(whole, trader, "wrong")
        slices.advance(whole.pk)
        sweep(direct=True)
        settled(account)
        whole.refresh_from_db()
        assert (whole.status, whole.dropped) == ("DROPPED", 6)
        assert statuses(whole) == ["CANCELLED"]
        assert Order.objects.count() == 1
        with pytest.raises(TooLate, match="already rest dropped"):
            slices.cancel(whole, trader, "again")

    def test_cancelled_before_anything_left(self, begin, trader, exchange):
        whole = begin(10)
        slices.cancel(whole, trader, "wrong")
        assert statuses(whole) == ["CANCELLED"]
        sweep(direct=True)
        assert exchange.report()["orders"] == 0

    def test_the_sweep_asks_every_slice_when_the_canceller_died(
        self, placed, trader, account, monkeypatch
    ):
        whole = placed(10)
        settled(account)
        monkeypatch.setattr(slices, "wish_cancelled", lambda *_: None)
        slices.cancel(whole, trader, "wrong")
        assert set(statuses(whole)) == {"OPEN"}
        sweep(direct=True)
        settled(account)
        assert set(statuses(whole)) == {"CANCELLED"}

    def test_a_slice_that_shows_up_beside_its_replacement_is_told(self, stopped, trader, account):
        slices.resume(stopped, trader, "again", 1)
        slices.advance(stopped.pk)
        Order.objects.filter(parent=stopped, slice_number=2).update(status="OPEN")
        sweep(direct=True)
        sweep(direct=True)
        assert stopped.events.filter(event="SURPLUS").count() == 1
        assert "4 more than was asked" in Alert.objects.get(key__startswith="surplus:").text


class TestASliceThatShowsUpAfterAll:
    """Slice 2 was proved absent; then the broker shows it after all."""

    @pytest.fixture
    def lacking(self, begin, account, exchange) -> Slicing:
        whole = begin(10)
        sent(orders_of(whole)[0])
        exchange.fault("drop_after_accept", "place", times=1)
        slices.advance(whole.pk)
        second = orders_of(whole)[1]
        assert second.status == "UNKNOWN"
        lifecycle.apply(second.pk, Happening(event=Event.PROVE_ABSENT, origin="look", text="no"))
        slices.settle(whole.pk)
        assert left_of(whole) == 6
        assert whole.status == "STOPPED"
        return whole

    def arrives(self, whole: Slicing, account, exchange, *, filled: int = 0) -> None:
        second = orders_of(whole)[1]
        assert second.status == "NEVER_ARRIVED"
        if filled:
            (there,) = exchange.accepted(second.correlation_id)
            exchange.control("fill", orderId=there["orderId"])
        settled(account)
        for _ in range(2):
            sweep(direct=True)

    def told(self, whole: Slicing) -> str:
        assert whole.events.filter(event="SURPLUS").count() == 1
        alert = Alert.objects.get(key=f"surplus:{whole.public_id}")
        assert alert.severity == "CRITICAL"
        return alert.text

    def test_after_the_rest_was_dropped_it_is_told_and_cancelled(
        self, lacking, trader, account, exchange
    ):
        slices.drop(lacking, trader, "enough")
        self.arrives(lacking, account, exchange)
        assert "4 more than was asked" in self.told(lacking)
        assert [bool(one.cancel_wanted_at) for one in orders_of(lacking)] == [False, True]
        settled(account)
        assert statuses(lacking) == ["OPEN", "CANCELLED"]
        assert not slices.moved()

    @pytest.mark.parametrize("filled", [0, 4])
    def test_after_all_of_it_was_done_it_is_told(self, lacking, trader, account, exchange, filled):
        slices.resume(lacking, trader, "again")
        slices.advance(lacking.pk)
        for order in orders_of(lacking):
            if not order.over:
                exchange.control("fill", orderId=order.broker_order_id)
                size = {"quantity": order.quantity, "filled_quantity": order.quantity}
                apply_report(account, report(order, FILLED, **size), "feed")
        sweep(direct=True)
        lacking.refresh_from_db()
        assert lacking.status == "DONE"
        self.arrives(lacking, account, exchange, filled=filled)
        assert "4 more than was asked" in self.told(lacking)
        settled(account)
        assert statuses(lacking)[1] == ("FILLED" if filled else "CANCELLED")

    def test_when_it_has_filled_what_replaced_it_is_cancelled(
        self, lacking, trader, account, exchange
    ):
        slices.resume(lacking, trader, "again")
        slices.advance(lacking.pk)
        self.arrives(lacking, account, exchange, filled=4)
        assert "4 more than was asked" in self.told(lacking)
        settled(account)
        assert statuses(lacking) == ["OPEN", "FILLED", "CANCELLED", "OPEN"]

    def test_while_nothing_replaced_it_it_may_stay(self, lacking, account, exchange):
        self.arrives(lacking, account, exchange)
        assert statuses(lacking) == ["OPEN", "OPEN"]
        assert left_of(lacking) == 2
        assert lacking.status == "STOPPED"
        assert not Order.objects.filter(cancel_wanted_at__isnull=False).exists()


class TestExits:
    @pytest.fixture
    def held(self, placed, account, exchange) -> int:
        exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
        whole = placed(10)
        settled(account)
        for order in orders_of(whole):
            exchange.control("fill", orderId=order.broker_order_id)
        settled(account)
        reporting.store_positions(account)
        return 10

    @pytest.fixture
    def leave(self, begin) -> Callable[[int], Slicing]:
        return lambda quantity: begin(quantity, side=Side.SELL, intent=Intent.EXIT)

    def test_slices_never_take_more_than_the_position(self, held, leave, exchange):
        whole = leave(14)
        dispatch.dispatch(whole.slices.get().pk)
        slices.advance(whole.pk)
        whole.refresh_from_db()
        sold = [order.quantity for order in orders_of(whole) if order.status == "SUBMITTED"]
        assert sold == [4, 4, 2]
        assert (whole.status, whole.dropped) == ("PLACED", 4)
        assert "4 given up: only 2 of the position are left to take" in whole.reason
        assert Alert.objects.filter(key=f"cut:{whole.public_id}").exists()

    def test_once_the_position_is_gone_the_rest_ends(self, held, leave, account, exchange):
        whole = leave(14)
        dispatch.dispatch(whole.slices.get().pk)
        slices.advance(whole.pk)
        settled(account)
        for order in orders_of(whole):
            if order.broker_order_id:
                exchange.control("fill", orderId=order.broker_order_id)
        settled(account)
        sweep(direct=True)
        whole.refresh_from_db()
        assert whole.status == "DROPPED"
        reporting.store_positions(account)
        net = sum(row.net_quantity for row in reporting.reports_of(account).positions().value)
        assert net == 0

    def test_gone_before_the_second_slice(self, held, leave, place, account, exchange):
        whole = leave(8)
        first = sent(orders_of(whole)[0])
        other = sent(place(side=Side.SELL, intent=Intent.EXIT, quantity=4))
        sent(place(side=Side.SELL, intent=Intent.EXIT, quantity=2))
        slices.advance(whole.pk)
        whole.refresh_from_db()
        assert (whole.status, whole.dropped) == ("PLACED", 4)
        settled(account)
        for order in (first, other):
            exchange.control("fill", orderId=Order.objects.get(pk=order.pk).broker_order_id)
        settled(account)
        sweep(direct=True)
        whole.refresh_from_db()
        assert whole.status == "DROPPED"

    def test_an_exit_does_not_wait_for_a_lost_answer(self, held, leave):
        whole = leave(10)
        lose(orders_of(whole)[0])
        slices.advance(whole.pk)
        assert statuses(whole) == ["UNKNOWN", "SUBMITTED", "SUBMITTED"]

    def test_without_workers_the_guard_places_an_exits_slices(self, held, leave):
        whole = leave(10)
        Order.objects.update(approved_at=timezone.now() - dt.timedelta(seconds=5))
        sweep(direct=True)
        Slicing.objects.update(moved_at=timezone.now() - dt.timedelta(seconds=5))
        sweep(direct=True)
        assert statuses(whole) == ["SUBMITTED"] * 3

    def test_the_guard_leaves_entries_to_the_workers(self, begin):
        whole = begin(10)
        sent(orders_of(whole)[0])
        Slicing.objects.update(moved_at=timezone.now() - dt.timedelta(seconds=5))
        sweep(direct=True)
        assert statuses(whole) == ["SUBMITTED"]


class TestRunTwice:
    def test_two_workers_place_every_slice_once(self, begin, exchange):
        whole = begin(10)
        sent(orders_of(whole)[0])

        def work() -> None:
            try:
                slices.advance(whole.pk)
            finally:
                connections.close_all()

        workers = [threading.Thread(target=work) for _ in range(4)]
        for thread in workers:
            thread.start()
        for thread in workers:
            thread.join()
        assert [order.quantity for order in orders_of(whole)] == [4, 4, 2]
        assert exchange.report()["orders"] == 3

    def test_two_placers_without_the_turn_place_a_slice_once(self, begin):
        """The lock of the whole's row and the slice's number hold it too."""
        whole = begin(10)
        sent(orders_of(whole)[0])
        seen = wholes.Slicing.objects.select_related("account", "instrument").get(pk=whole.pk)
        assert services.place_slice(seen, 2)
        assert not services.place_slice(seen, 2)
        assert WireCall.objects.filter(verb="PLACE").count() == 2

    def test_swept_twice_it_rings_and_nothing_is_repeated(self, begin, no_bells):
        whole = begin(10)
        sent(orders_of(whole)[0])
        Slicing.objects.update(moved_at=timezone.now() - dt.timedelta(seconds=5))
        no_bells.clear()
        sweep()
        sweep()
        assert no_bells.count(("orders.slices", whole.pk)) == 2
        for _ in range(2):
            slices.advance(whole.pk)
        assert whole.slices.count() == 3

    def test_the_dispatch_of_a_slice_rings_for_the_next(self, begin, no_bells):
        whole = begin(10)
        no_bells.clear()
        dispatch.dispatch(orders_of(whole)[0].pk)
        assert ("orders.slices", whole.pk) in no_bells

    def test_cancelled_between_plan_and_review_the_slice_is_not_placed(
        self, begin, trader, monkeypatch
    ):
        whole = begin(10)
        sent(orders_of(whole)[0])
        look = services.prepare

        def cancelled_meanwhile(intent):
            slices.cancel(whole, trader, "no")
            return look(intent)

        monkeypatch.setattr(services, "prepare", cancelled_meanwhile)
        slices.advance(whole.pk)
        assert whole.slices.count() == 1


class TestTheDatabase:
    def refuse(self, sql: str, *values: Any) -> str:
        with pytest.raises(DatabaseError) as caught, transaction.atomic():
            connection.cursor().execute(sql, values)
        return str(caught.value)

    def test_a_whole_keeps_its_terms_and_its_history(self, placed):
        whole = placed(10)
        assert "keeps its terms" in self.refuse("UPDATE orders_slicing SET total = 12")
        assert self.refuse("DELETE FROM orders_slicing WHERE id = %s", whole.pk)
        assert self.refuse("UPDATE orders_slicingevent SET text = ''")

    def test_what_is_over_stays_over(self, begin, trader):
        whole = begin(10)
        slices.cancel(whole, trader, "no")
        assert "is over" in self.refuse("UPDATE orders_slicing SET status = 'PLACING'")

    def test_a_slice_is_of_its_whole_alone(self, begin, place):
        whole = begin(10)
        other = place(quantity=1)
        said = self.refuse(
            "UPDATE orders_order SET parent_id = %s, slice_number = 2, slice_of = 2 WHERE id = %s",
            whole.pk,
            other.pk,
        )
        assert "keeps its whole" in said
        stranger = Order(
            account=whole.account,
            instrument=whole.instrument,
            side="SELL",
            quantity=1,
            order_type="LIMIT",
            product="INTRADAY",
            source="ADMIN",
            parent=whole,
            slice_number=2,
            slice_of=2,
        )
        with pytest.raises(DatabaseError, match="no slice of this whole"):
            stranger.save()
