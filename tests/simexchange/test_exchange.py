"""The life of an order inside the exchange, without network and on a still clock."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from simexchange.exchange import OrderRefusedError
from simexchange.orders import Change, Status, Ticket
from tests.simexchange.harness import OTHER, Hall

NIFTY_CALL = {"segment": "NSE_FNO", "security_id": "53103", "product": "MARGIN"}


def test_an_order_is_in_transit_until_it_arrives(hall: Hall) -> None:
    order = hall.send(price="1300")
    assert order.status == Status.TRANSIT
    assert order.exchange_order_id == "0"
    assert hall.events == []
    hall.arrive()
    assert order.status == Status.PENDING
    assert order.exchange_order_id != "0"
    assert hall.events == [(order.order_id, "Pending", 0)]


def test_a_limit_that_crosses_fills_in_steps_no_worse_than_its_limit(hall: Hall) -> None:
    order = hall.place(quantity=1500, price="1402.4")
    trades = hall.exchange.trades_of(hall.account())
    assert len(trades) > 1
    assert all(Decimal(1402) <= trade.price <= order.price for trade in trades)
    assert order.status == Status.PART_TRADED
    words = [word for _, word, _ in hall.events]
    assert words == ["Pending"] + ["Part_traded"] * len(trades)
    filled = [filled for _, _, filled in hall.events]
    assert filled == sorted(filled)


def test_the_rest_fills_when_the_price_comes_back(hall: Hall) -> None:
    order = hall.place(quantity=10, price="1390")
    assert order.status == Status.PENDING
    hall.pin("1390")
    assert order.status == Status.TRADED
    assert order.average == Decimal(1390)


def test_a_market_order_becomes_a_limit_one_per_cent_away(hall: Hall) -> None:
    order = hall.place(order_type="MARKET", price="0")
    assert order.order_type == "LIMIT"
    assert order.price == Decimal("1416.1")
    assert order.average <= Decimal("1402.5")


def test_a_market_order_larger_than_the_depth_leaves_a_resting_limit(hall: Hall) -> None:
    order = hall.place(order_type="MARKET", price="0", quantity=3000)
    assert order.status == Status.PART_TRADED
    assert order in hall.exchange.markets[order.key].book.bids


def test_a_stop_waits_for_its_trigger_then_trades_as_a_limit(hall: Hall) -> None:
    order = hall.place(order_type="STOP_LOSS", trigger="1410", price="1412")
    assert order.status == Status.PENDING
    hall.pin("1409.9")
    assert not order.triggered
    hall.pin("1410")
    assert order.status == Status.TRADED
    assert order.average <= Decimal(1412)


def test_a_selling_stop_fires_on_the_way_down(hall: Hall) -> None:
    order = hall.place(side="SELL", order_type="STOP_LOSS", trigger="1390", price="1388")
    hall.pin("1391")
    assert order.status == Status.PENDING
    hall.pin("1389")
    assert order.status == Status.TRADED


def test_what_ioc_cannot_fill_at_once_is_cancelled(hall: Hall) -> None:
    order = hall.place(validity="IOC", quantity=3000, price="1402.4", product="INTRADAY")
    assert order.status == Status.CANCELLED
    assert 0 < order.filled < 3000


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"price": "1400.05"}, "Price should be in multiples of tick size 0.10."),
        ({"price": "1000"}, "Price is outside the circuit limits 1261.80 - 1542.20."),
        ({"quantity": 400_000}, "Quantity exceeds the freeze quantity 350000."),
        ({**NIFTY_CALL, "quantity": 70}, "Quantity should be in multiples of lot size 65."),
        ({"quantity": 5000}, "You have insufficient funds. Please add Rs.400000.00 to trade."),
    ],
)
def test_the_broker_rejects_after_accepting(hall: Hall, changes: dict, text: str) -> None:
    order = hall.place(**{"price": "1400", **changes})
    assert order.status == Status.REJECTED
    assert order.reason == f"RMS:{order.order_id}:{text}"
    assert order.exchange_order_id == "0"
    assert hall.account().available == 1_000_000


def test_a_cancel_in_transit_is_refused_and_a_modify_is_not(hall: Hall) -> None:
    order = hall.send(price="1300")
    with pytest.raises(OrderRefusedError, match="Order is in Transit state"):
        hall.exchange.cancel(hall.account(), order.order_id)
    hall.exchange.modify(
        hall.account(), order.order_id, Change("LIMIT", "DAY", price=Decimal(1310))
    )
    hall.arrive()
    assert (order.status, order.price) == (Status.PENDING, Decimal(1310))


def test_a_modified_quantity_is_the_total(hall: Hall) -> None:
    order = hall.place(quantity=10, price="1300")
    hall.exchange.force_fill(order, 4, Decimal(1300))
    hall.exchange.modify(hall.account(), order.order_id, Change("LIMIT", "DAY", quantity=6))
    assert (order.quantity, order.remaining) == (6, 2)


def test_a_quantity_already_filled_cannot_be_modified_away(hall: Hall) -> None:
    order = hall.place(quantity=10, price="1300")
    hall.exchange.force_fill(order, 4, Decimal(1300))
    with pytest.raises(OrderRefusedError, match="greater than the traded"):
        hall.exchange.modify(hall.account(), order.order_id, Change("LIMIT", "DAY", quantity=4))


def test_the_26th_modification_is_refused(hall: Hall) -> None:
    order = hall.place(price="1300")
    for step in range(25):
        change = Change("LIMIT", "DAY", price=Decimal(1300 + step % 2))
        hall.exchange.modify(hall.account(), order.order_id, change)
    with pytest.raises(OrderRefusedError, match="Maximum number"):
        hall.exchange.modify(hall.account(), order.order_id, Change("LIMIT", "DAY"))


def test_a_new_price_goes_to_the_back_of_the_queue_a_smaller_quantity_does_not(
    hall: Hall,
) -> None:
    hall.empty_street()
    first, second = hall.place(price="1395"), hall.place(price="1395")
    hall.exchange.modify(hall.account(), first.order_id, Change("LIMIT", "DAY", quantity=5))
    book = hall.exchange.markets[first.key].book
    assert book.bids == [first, second]
    for price in (1396, 1395):
        change = Change("LIMIT", "DAY", price=Decimal(price))
        hall.exchange.modify(hall.account(), first.order_id, change)
    assert book.bids == [second, first]


def test_a_larger_quantity_goes_to_the_back_of_the_queue(hall: Hall) -> None:
    hall.empty_street()
    first, second = hall.place(price="1395"), hall.place(price="1395")
    hall.exchange.modify(hall.account(), first.order_id, Change("LIMIT", "DAY", quantity=11))
    assert hall.exchange.markets[first.key].book.bids == [second, first]


def test_a_modified_price_that_crosses_trades_at_once(hall: Hall) -> None:
    order = hall.place(price="1300")
    hall.exchange.modify(
        hall.account(), order.order_id, Change("LIMIT", "DAY", price=Decimal(1410))
    )
    assert order.status == Status.TRADED
    assert [word for _, word, _ in hall.events] == ["Pending", "Modified", "Traded"]


def test_a_limit_modified_to_market_is_protected(hall: Hall) -> None:
    order = hall.place(price="1300", quantity=3000)
    hall.exchange.modify(hall.account(), order.order_id, Change("MARKET", "DAY"))
    assert (order.order_type, order.price) == ("LIMIT", Decimal("1416.1"))
    assert order.status == Status.PART_TRADED


def test_a_modification_off_the_tick_is_refused_and_the_order_stays(hall: Hall) -> None:
    order = hall.place(price="1300")
    with pytest.raises(OrderRefusedError, match="tick size"):
        hall.exchange.modify(
            hall.account(), order.order_id, Change("LIMIT", "DAY", price=Decimal("1300.01"))
        )
    assert (order.status, order.price, order.modifications) == (Status.PENDING, Decimal(1300), 0)


def test_two_accounts_trade_with_each_other_at_the_resting_price(hall: Hall) -> None:
    hall.empty_street()
    resting = hall.place(OTHER, side="SELL", price="1399", quantity=4)
    arriving = hall.place(price="1405")
    assert (resting.status, arriving.status) == (Status.TRADED, Status.PART_TRADED)
    assert resting.average == arriving.average == 1399
    numbers = [trade.trade_id for trade in hall.ledger.trades]
    assert len(set(numbers)) == len(numbers) == 2


def test_a_stop_already_passed_trades_on_arrival(hall: Hall) -> None:
    order = hall.place(order_type="STOP_LOSS", trigger="1400", price="1405")
    assert order.status == Status.TRADED


def test_a_stop_with_ioc_waits_and_only_then_is_cancelled(hall: Hall) -> None:
    order = hall.place(
        order_type="STOP_LOSS", trigger="1410", price="1412", quantity=3000, validity="IOC"
    )
    assert order.status == Status.PENDING
    hall.pin("1410")
    assert order.status == Status.CANCELLED
    assert 0 < order.filled < 3000


def test_a_waiting_stop_can_be_cancelled(hall: Hall) -> None:
    order = hall.place(order_type="STOP_LOSS", trigger="1410", price="1412")
    hall.exchange.cancel(hall.account(), order.order_id)
    hall.pin("1411")
    assert (order.status, order.filled) == (Status.CANCELLED, 0)


def test_protection_stops_at_the_band(hall: Hall) -> None:
    hall.pin("1540")
    market = hall.exchange.markets["NSE_EQ", "2885"]
    assert market.protected_price("BUY") == market.instrument.upper
    hall.pin("1262")
    assert market.protected_price("SELL") == market.instrument.lower


def test_a_partly_filled_order_that_is_rejected_keeps_its_fills(hall: Hall) -> None:
    order = hall.place(price="1300")
    hall.exchange.force_fill(order, 4, Decimal(1300))
    hall.exchange.force_reject(order, "RMS: no more")
    assert (order.status, order.filled, order.reason) == (Status.REJECTED, 4, "RMS: no more")


def test_the_received_time_moves_with_a_modification_the_created_time_does_not(
    hall: Hall,
) -> None:
    order = hall.place(price="1300")
    started = hall.now
    hall.now += timedelta(minutes=2)
    hall.exchange.modify(hall.account(), order.order_id, Change("LIMIT", "DAY", quantity=5))
    assert (order.created, order.received, order.updated) == (started, hall.now, hall.now)


def test_reset_gives_no_id_twice(hall: Hall) -> None:
    first = hall.place(price="1300")
    hall.exchange.reset()
    assert hall.ledger.orders == {}
    assert hall.account().available == 1_000_000
    assert hall.place(price="1300").order_id != first.order_id


def test_an_order_forgotten_by_a_reset_never_arrives(hall: Hall) -> None:
    hall.send(price="1300")
    hall.exchange.reset()
    hall.arrive()
    assert hall.events == []


def test_an_account_cannot_touch_the_orders_of_another(hall: Hall) -> None:
    order = hall.place(price="1300")
    with pytest.raises(OrderRefusedError, match="not found"):
        hall.exchange.cancel(hall.account(OTHER), order.order_id)
    assert hall.exchange.find(hall.account(OTHER), order.order_id) is None


def test_a_cancelled_order_keeps_its_fills(hall: Hall) -> None:
    order = hall.place(price="1300")
    hall.exchange.force_fill(order, 3, Decimal(1300))
    hall.exchange.cancel(hall.account(), order.order_id)
    assert (order.status, order.filled) == (Status.CANCELLED, 3)
    assert not hall.exchange.markets[order.key].book.bids


def test_slices_never_exceed_the_freeze_quantity(hall: Hall) -> None:
    account = hall.account()
    account.balance = Decimal(10_000_000)
    ticket = Ticket(
        "BUY", "NSE_FNO", "53103", "MARGIN", "LIMIT", "DAY", 65 * 60, price=Decimal(200)
    )
    orders = hall.exchange.slice(account, ticket)
    assert [order.quantity for order in orders] == [1755, 1755, 390]
    assert len({order.request for order in orders}) == 1


def test_switched_off_matching_lets_everything_rest(hall: Hall) -> None:
    hall.exchange.set_auto(False)
    order = hall.place(price="1450", validity="IOC")
    assert order.status == Status.PENDING
    hall.exchange.force_fill(order, 4, Decimal("1401.5"))
    assert (order.status, order.average) == (Status.PART_TRADED, Decimal("1401.5"))
    hall.exchange.set_auto(True)
    assert order.status == Status.TRADED


def test_a_new_day_expires_what_still_works_and_empties_the_order_book(hall: Hall) -> None:
    order = hall.place(price="1300")
    hall.next_day()
    hall.exchange.tick()
    assert order.status == Status.EXPIRED
    assert hall.exchange.orders_of(hall.account()) == []
    assert order.created.date() == date(2026, 9, 8)


def test_the_walk_stays_on_the_tick_and_in_the_band(hall: Hall) -> None:
    hall.exchange.walk_on = True
    for _ in range(400):
        hall.exchange.tick()
    for market in hall.exchange.markets.values():
        instrument = market.instrument
        assert instrument.lower <= market.low <= market.last <= market.high <= instrument.upper
        assert market.last % instrument.tick == 0
