"""Brackets that the broker keeps as super orders, at the simulated exchange.

Its documentation leaves open under which ids the legs are shown, and describes them twice: what
rests on that is run each way.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.alerts.models import Alert
from apps.brokers import reporting
from apps.brokers.models import Verb, WireCall
from apps.brokers.port import BrokerState, Intent, LegName, OrderReport, OrderType, Side
from apps.orders import bracket_guard, brackets, kept_legs, look, services
from apps.orders.bracket_check import breaks_of, check_brackets
from apps.orders.bracket_machine import Part
from apps.orders.bracket_sight import orders_of
from apps.orders.ingest import apply_report
from apps.orders.models import Bracket, Break, LedgerPosition, Order, Source, Unattributed
from apps.orders.reconcile import reconcile
from apps.orders.services import BadOrder, OrderIntent
from apps.risk.models import Hold
from tests.orders import closing
from tests.orders.bracketing import is_held, is_over, newest, one_pass, status_of, until
from tests.orders.closing import held
from tests.orders.sweeping import sweep_and_send

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
WAYS = [("own", "classic"), ("own", "portal"), ("shared", "classic"), ("shared", "portal")]


@pytest.fixture(params=WAYS, ids="-".join)
def way(request, exchange):
    leg_ids, details = request.param
    exchange.control("super", leg_ids=leg_ids, details=details)


@pytest.fixture
def own_ids(exchange):
    exchange.control("super", leg_ids="own", details="portal")


@pytest.fixture
def place(wanted, trader, no_bells):
    def make(**different) -> Bracket:
        bracket = brackets.place(wanted(**different), trader, Source.COMMAND, "test")
        sweep_and_send()
        bracket_guard.tend(bracket.pk)
        bracket.refresh_from_db()
        return bracket

    return make


@pytest.fixture
def entered(place, market):
    def make(**different) -> Bracket:
        bracket = place(**different)
        until(bracket, is_held(bracket))
        return bracket

    return make


def agrees(account) -> None:
    reconcile(account)
    assert list(Break.objects.filter(resolution="")) == []


def test_a_bracket_is_one_super_order_whose_legs_wait(place, account):
    bracket = place(price=Decimal(1390))
    assert bracket.style == "SUPER"
    entry = newest(bracket, Part.ENTRY)
    assert bracket.parent_broker_id == entry.broker_order_id != ""
    assert (entry.exit_stop, entry.exit_target) == (1380, 1430)
    assert sorted(bracket.legs.values_list("leg", "status")) == [
        ("ENTRY", "SUBMITTED"),
        ("STOP_LOSS", "AWAITED"),
        ("TARGET", "AWAITED"),
    ]
    one_pass(bracket)
    assert Order.objects.count() == 1
    agrees(account)


def test_legs_wear_the_brokers_ids_before_the_entry_has_filled(place):
    bracket = place(price=Decimal(1390))
    one_pass(bracket)
    entry = newest(bracket, Part.ENTRY).broker_order_id
    ids = dict(bracket.legs.values_list("leg", "leg_order_id"))
    assert ids == {
        "ENTRY": entry,
        "STOP_LOSS": f"{entry}/STOP_LOSS",
        "TARGET": f"{entry}/TARGET",
    }


def test_the_brokers_legs_work_once_the_entry_has_filled(way, entered, account):
    bracket = entered()
    stop, target = newest(bracket, Part.STOP_LOSS), newest(bracket, Part.TARGET)
    assert bracket.status == "HOLDING"
    assert (stop.kept, stop.leg, stop.trigger_price, stop.quantity) == (
        "SUPER",
        "STOP_LOSS",
        1380,
        10,
    )
    assert (target.kept, target.leg, target.price, target.quantity) == ("SUPER", "TARGET", 1430, 10)
    assert stop.group == target.group == bracket.name
    assert len({order.broker_order_id for order in Order.objects.all()}) == 3
    assert [call.outcome for call in WireCall.objects.filter(verb=Verb.PLACE)] == ["ACCEPTED"]
    assert breaks_of(bracket) == []
    agrees(account)


@pytest.mark.parametrize(
    ("to", "filled", "gone"), [(1431, "TARGET", "STOP_LOSS"), (1379, "STOP_LOSS", "TARGET")]
)
def test_the_broker_cancels_the_sibling_of_the_exit_that_fills(
    way, entered, market, account, to, filled, gone
):
    bracket = entered()
    market(to)
    until(bracket, is_over(bracket))
    assert (status_of(bracket, filled), status_of(bracket, gone)) == ("FILLED", "CANCELLED")
    assert held(account) == 0
    assert WireCall.objects.exclude(verb=Verb.READ).count() == 1  # nothing but the placement
    assert breaks_of(bracket) == []
    agrees(account)
    assert LedgerPosition.objects.get().net == 0


def test_a_sold_bracket_works_the_other_way_round(entered, market, account):
    bracket = entered(
        side=Side.SELL, price=Decimal(1395), stop_price=Decimal(1420), target_price=Decimal(1370)
    )
    assert (bracket.style, held(account)) == ("SUPER", -10)
    market(1421)
    until(bracket, is_over(bracket))
    assert (held(account), status_of(bracket, "STOP_LOSS")) == (0, "FILLED")


def test_legs_hold_what_the_entry_has_filled_from_that_moment_on(
    way, place, fill, account, exchange
):
    exchange.control("auto", on=False)
    bracket = place()
    entry = newest(bracket, Part.ENTRY)
    for filled in (3, 10):
        fill(entry, filled - (entry.filled_quantity or 0), 1405)
        reconcile(account)
        entry.refresh_from_db()
        held_by = Hold.objects.filter(group=bracket.name).values_list("quantity", flat=True)
        assert (entry.filled_quantity, *held_by) == (filled, filled, filled)
        until(bracket, lambda: status_of(bracket, "STOP_LOSS") == "WORKING")
    assert {order.quantity for order in Order.objects.all()} == {10}


def test_no_other_exit_takes_what_the_legs_may_take(entered, account, reliance, trader):
    entered()
    exit_ = OrderIntent(
        account=account,
        instrument=reliance,
        side=Side.SELL,
        quantity=10,
        order_type=OrderType.LIMIT,
        price=Decimal(1390),
        intent=Intent.EXIT,
    )
    order = services.place(exit_, trader, Source.COMMAND)
    assert (order.status, "position" in order.reason) == ("DENIED", True)


def test_a_stop_that_the_broker_rejects_is_replaced_by_one_of_ours(
    way, place, market, exchange, account
):
    exchange.control("faults", fault="stop_rejected", times=1)
    bracket = place()
    until(bracket, is_held(bracket))
    stops = orders_of(bracket)[Part.STOP_LOSS]
    assert [(order.kept, order.status) for order in stops] == [("SUPER", "REJECTED"), ("", "OPEN")]
    market(1431)
    until(bracket, is_over(bracket))
    assert (held(account), status_of(bracket, "STOP_LOSS")) == (0, "CANCELLED")


def test_a_sibling_that_stays_is_cancelled_by_the_guardian(
    way, place, market, exchange, account, fill
):
    exchange.control("faults", fault="sibling_stays", times=1)
    bracket = place()
    until(bracket, is_held(bracket))
    market(1431)
    until(bracket, is_over(bracket))
    assert (held(account), status_of(bracket, "STOP_LOSS")) == (0, "CANCELLED")
    assert WireCall.objects.filter(verb=Verb.CANCEL).exists()


def test_two_exits_that_fill_are_flattened_and_told(way, place, market, exchange, account):
    exchange.control("faults", fault="both_exits_filled", times=1)
    bracket = place()
    until(bracket, is_held(bracket))
    market(1430)
    until(bracket, is_over(bracket))
    assert held(account) == 0
    assert status_of(bracket, "TARGET") == status_of(bracket, "STOP_LOSS") == "FILLED"
    assert Alert.objects.filter(key=f"{bracket.name}:reverse").exists()
    agrees(account)


def test_new_prices_reach_the_broker_before_and_after_the_fill(way, place, market, trader, account):
    bracket = place(price=Decimal(1390), stop_price=Decimal(1370), trailing_jump=Decimal(5))
    one_pass(bracket)
    brackets.change(bracket, trader, "closer", stop_price=Decimal(1375))
    entry = newest(bracket, Part.ENTRY)
    until(bracket, lambda: newest(bracket, Part.ENTRY).exit_stop == 1375)
    until(bracket, lambda: not services.change_under_way(entry))
    market(1389)
    until(bracket, is_held(bracket))
    assert newest(bracket, Part.STOP_LOSS).trigger_price == 1375
    brackets.change(bracket, trader, "again", stop_price=Decimal(1380), target_price=Decimal(1440))
    until(bracket, lambda: newest(bracket, Part.STOP_LOSS).trigger_price == 1380)
    until(bracket, lambda: newest(bracket, Part.TARGET).price == 1440)
    changes = [change for order in Order.objects.all() for change in order.modifications.all()]
    until(bracket, lambda: all(_settled(change) == "APPLIED" for change in changes))
    (shown,) = super_orders(account)
    assert shown["trailingJump"] == 5
    assert len(Order.objects.all()) == 3


def _settled(change) -> str:
    change.refresh_from_db()
    return change.status


def super_orders(account) -> list[dict]:

    return [
        dict(report.raw)
        for report in reporting.reports_of(account).super_orders().value
        if report.part is LegName.ENTRY
    ]


def test_the_bracket_follows_the_stop_that_the_broker_trails(way, entered, market, account):
    bracket = entered(trailing_jump=Decimal(5))
    market(1411)
    until(bracket, lambda: _fresh(bracket).stop_price == 1390)
    assert newest(bracket, Part.STOP_LOSS).trigger_price == 1390
    assert WireCall.objects.filter(verb=Verb.MODIFY).count() == 0
    market(1389)
    until(bracket, is_over(bracket))
    assert (held(account), status_of(bracket, "STOP_LOSS")) == (0, "FILLED")


def test_a_stop_that_people_lower_after_it_trailed_is_lowered(entered, market, trader):
    bracket = entered(trailing_jump=Decimal(5))
    market(1411)
    until(bracket, lambda: _fresh(bracket).stop_price == 1390)
    brackets.change(bracket, trader, "room", stop_price=Decimal(1385))
    until(bracket, lambda: newest(bracket, Part.STOP_LOSS).trigger_price == 1385)
    for _ in range(3):
        one_pass(bracket)
    assert (_fresh(bracket).stop_price, _fresh(bracket).trail_stop) == (1385, 1385)


def _fresh(bracket: Bracket) -> Bracket:
    bracket.refresh_from_db()
    return bracket


def test_leaving_takes_the_brokers_legs_back_first(way, entered, trader, account):
    bracket = entered()
    brackets.leave(bracket, trader, "enough")
    until(bracket, is_over(bracket))
    assert held(account) == 0
    assert status_of(bracket, "TARGET") == status_of(bracket, "STOP_LOSS") == "CANCELLED"
    assert newest(bracket, Part.OUT).status == "FILLED"
    agrees(account)


def test_an_entry_cancelled_before_it_fills_ends_the_bracket(way, place, trader, account):
    bracket = place(price=Decimal(1390))
    one_pass(bracket)
    services.cancel(newest(bracket, Part.ENTRY), trader, "no more")
    until(bracket, is_over(bracket))
    assert set(bracket.legs.values_list("status", flat=True)) == {"CANCELLED"}
    agrees(account)


def test_a_half_filled_entry_that_is_cancelled_stays_protected(
    way, place, fill, trader, account, exchange
):
    exchange.control("auto", on=False)
    bracket = place()
    entry = newest(bracket, Part.ENTRY)
    fill(entry, 4, 1405)
    until(bracket, lambda: status_of(bracket, "STOP_LOSS") == "WORKING")
    services.cancel(newest(bracket, Part.ENTRY), trader, "no more")
    until(bracket, lambda: newest(bracket, Part.ENTRY).over and is_held(bracket)())
    stop = newest(bracket, Part.STOP_LOSS)
    assert (stop.kept, stop.open_quantity, held(account)) == ("", 4, 4)


def test_a_placement_whose_answer_is_lost_is_found_and_goes_on(way, place, market, exchange):
    exchange.control("faults", fault="drop_after_accept", endpoint="super_place", times=1)
    bracket = place()
    assert newest(bracket, Part.ENTRY).status == "UNKNOWN"
    until(bracket, is_held(bracket))
    assert WireCall.objects.filter(verb=Verb.PLACE).count() == 1


def test_a_placement_that_never_arrived_is_proved_absent_by_both_lists(
    place, market, exchange, account
):
    exchange.control("faults", fault="drop_before_accept", endpoint="super_place", times=1)
    exchange.control("faults", fault="http_500", endpoint="super_book", times=2)
    bracket = place()
    until(bracket, is_over(bracket))
    entry = newest(bracket, Part.ENTRY)
    assert (entry.status, entry.absences) == ("NEVER_ARRIVED", 2)
    reads = WireCall.objects.filter(verb=Verb.READ, what="super orders")
    assert reads.filter(outcome="ANSWERED").count() >= 2


def test_closing_the_position_takes_the_brokers_legs_away(way, entered, account, trader):
    bracket = entered()
    closing.reached(account, closing.ask(account, bracket.instrument, trader))
    assert held(account) == 0
    until(bracket, is_over(bracket))
    agrees(account)


def test_the_legs_quantity_is_nobodys_to_change(entered, trader):
    bracket = entered()
    with pytest.raises(BadOrder, match="quantity: the broker keeps it"):
        services.modify(newest(bracket, Part.TARGET), trader, "less", quantity=5)
    with pytest.raises(BadOrder, match="price: the broker finds the limit of its stop"):
        services.modify(newest(bracket, Part.STOP_LOSS), trader, "x", price=Decimal(1370))


@pytest.mark.parametrize(
    "different",
    [
        {"target_price": None},
        {"stop_limit": Decimal(1375)},
        {"order_type": OrderType.MARKET, "price": None, "target_price": Decimal(1401)},
    ],
    ids=["no target", "a limit of its own", "a target within the reach of the market entry"],
)
def test_what_a_super_order_cannot_say_is_managed_here(wanted, market, different):
    assert brackets.style_of(wanted(**different)) == "MANAGED"


def test_an_account_may_have_all_its_brackets_managed_here(wanted, account):
    account.bracket_style = "MANAGED"
    account.save(update_fields=["bracket_style"])
    assert brackets.style_of(wanted()) == "MANAGED"


def test_a_bracket_at_the_market_is_a_super_order_too(place, market, heard):
    heard(1400)
    bracket = place(order_type=OrderType.MARKET, price=None, target_price=Decimal(1450))
    assert bracket.style == "SUPER"
    until(bracket, is_held(bracket))


def test_the_guardian_leaves_the_broker_its_time(place, market, exchange, settings):
    settings.BRACKET_BROKER_TIME = 600
    exchange.control("faults", fault="stop_rejected", times=1)
    bracket = place()
    until(bracket, lambda: status_of(bracket, "STOP_LOSS") == "REJECTED")
    for _ in range(3):
        one_pass(bracket)
    assert len(orders_of(bracket)[Part.STOP_LOSS]) == 1
    settings.BRACKET_BROKER_TIME = 0
    bracket_guard.tend(bracket.pk)
    assert len(orders_of(bracket)[Part.STOP_LOSS]) == 2
    sweep_and_send()
    look.look(bracket.account)


def leg_frame(entry: Order, leg: LegName, own_id: str, **different) -> OrderReport:
    said = {
        "broker_order_id": own_id,
        "state": BrokerState.WORKING,
        "state_word": "Pending",
        "side": Side.SELL,
        "quantity": 10,
        "leg": True,
        "part": leg,
        "whole_id": entry.broker_order_id,
    }
    return OrderReport(**(said | different))


def test_a_leg_known_by_its_entry_alone_gets_its_own_id_from_the_feed(entered, account):
    bracket = entered()
    stop = newest(bracket, Part.STOP_LOSS)
    assert stop.broker_order_id == f"{bracket.parent_broker_id}/STOP_LOSS"
    apply_report(account, leg_frame(newest(bracket, Part.ENTRY), LegName.STOP_LOSS, "77"), "feed")
    stop.refresh_from_db()
    assert stop.broker_order_id == "77"
    bracket_guard.tend(bracket.pk)
    assert bracket.legs.get(leg="STOP_LOSS").leg_order_id == "77"
    another = leg_frame(newest(bracket, Part.ENTRY), LegName.STOP_LOSS, "78")
    apply_report(account, another, "feed")
    stop.refresh_from_db()
    assert stop.broker_order_id == "77"
    assert Unattributed.objects.get().broker_order_id == "78"


def test_news_of_a_leg_before_those_of_its_entry_ask_for_the_books(place, account):
    bracket = place(price=Decimal(1390))
    account.reconcile_wanted = False
    account.save(update_fields=["reconcile_wanted"])
    apply_report(account, leg_frame(newest(bracket, Part.ENTRY), LegName.TARGET, "77"), "feed")
    account.refresh_from_db()
    assert account.reconcile_wanted
    assert bracket.legs.get(leg="TARGET").leg_order_id == "77"
    assert (Order.objects.count(), Unattributed.objects.count()) == (1, 0)


def test_news_of_a_leg_of_nobodys_entry_are_kept_apart(place, account):
    bracket = place(price=Decimal(1390))
    entry = newest(bracket, Part.ENTRY)
    apply_report(account, leg_frame(entry, LegName.TARGET, "77", whole_id="4711"), "feed")
    assert Unattributed.objects.get().leg
    assert Order.objects.count() == 1


def test_the_check_names_legs_by_the_brokers_list(place):
    bracket = place(price=Decimal(1390))
    bracket.legs.exclude(leg="ENTRY").update(leg_order_id="", named_at=None)
    found = check_brackets()
    assert (found.named, found.breaks, found.unread) == (2, [], [])
    assert bracket.legs.get(leg="TARGET").leg_order_id == f"{bracket.parent_broker_id}/TARGET"


@pytest.fixture
def without_legs(monkeypatch):
    """The broker made no legs, whatever it promised; until told otherwise."""
    hidden = [True]
    real = kept_legs.together

    def together(book, supers):
        found = real(book, supers)
        return [row for row in found if not (hidden[0] and row.part in kept_legs.EXITS)]

    monkeypatch.setattr(kept_legs, "together", together)
    return hidden


def test_legs_that_the_broker_never_made_are_given_up_and_replaced(
    place, market, without_legs, account
):
    bracket = place()
    until(bracket, is_held(bracket))
    legs = Order.objects.exclude(leg_of="")
    assert {(order.status, order.absences) for order in legs} == {("REJECTED", 2)}
    assert newest(bracket, Part.STOP_LOSS).kept == ""


def test_a_leg_that_comes_after_all_is_taken_away(place, market, without_legs, account):
    bracket = place()
    until(bracket, is_held(bracket))
    without_legs[0] = False
    late = Order.objects.alive().exclude(leg_of="")
    until(bracket, late.exists)
    until(bracket, lambda: not late.all().exists(), seconds=30)
    until(bracket, is_held(bracket))
    assert (newest(bracket, Part.STOP_LOSS).open_quantity, held(account)) == (10, 10)
    market(1431)
    until(bracket, is_over(bracket))
    assert held(account) == 0
