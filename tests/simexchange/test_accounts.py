"""Margin, positions and cash."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simexchange.accounts import margin
from simexchange.exchange import OrderRefusedError
from simexchange.orders import Change, Status
from simexchange.rows import fund_row, position_row
from tests.simexchange.harness import CLIENT, OTHER, Hall

CALL = {"segment": "NSE_FNO", "security_id": "53103", "product": "MARGIN", "quantity": 65}


@pytest.mark.parametrize(
    ("security", "product", "side", "expected"),
    [
        (("NSE_EQ", "2885"), "INTRADAY", "BUY", 20_00),
        (("NSE_EQ", "2885"), "CNC", "BUY", 100_00),
        (("NSE_EQ", "2885"), "MTF", "BUY", 100_00),
        (("NSE_FNO", "53001"), "MARGIN", "SELL", 15_00),
        (("NSE_FNO", "53103"), "INTRADAY", "BUY", 100_00),
        (("NSE_FNO", "53103"), "MARGIN", "SELL", 24_500 * 15),
    ],
)
def test_margin_of_a_hundred_units_at_a_hundred_rupees(
    hall: Hall, security: tuple[str, str], product: str, side: str, expected: int
) -> None:
    instrument = hall.ledger.instruments[security]
    assert margin(instrument, product, side, 100, Decimal(100)) == expected


def test_a_working_order_blocks_margin_and_a_cancelled_one_frees_it(hall: Hall) -> None:
    order = hall.place(quantity=100, price="1300")
    assert hall.account().available == 1_000_000 - 26_000
    hall.exchange.cancel(hall.account(), order.order_id)
    assert hall.account().available == 1_000_000


def test_a_closing_order_needs_no_margin(hall: Hall) -> None:
    hall.exchange.force_fill(hall.place(**CALL, price="150"), 65, Decimal(150))
    before = hall.account().utilised
    order = hall.place(**CALL, side="SELL", price="300")
    assert order.status == Status.PENDING
    assert hall.account().utilised == before == 65 * 150


def test_only_the_part_beyond_what_is_held_needs_margin(hall: Hall) -> None:
    hall.exchange.force_fill(hall.place(quantity=10, price="1300"), 10, Decimal(1300))
    held = hall.account().utilised
    hall.place(side="SELL", quantity=15, price="1500")
    assert hall.account().utilised == held + 5 * 1500 * Decimal("0.20")


def test_what_a_partial_fill_leaves_stays_blocked(hall: Hall) -> None:
    order = hall.place(quantity=10, price="1300")
    hall.exchange.force_fill(order, 4, Decimal(1300))
    assert hall.account().utilised == 10 * 1300 * Decimal("0.20")
    hall.exchange.cancel(hall.account(), order.order_id)
    assert hall.account().utilised == 4 * 1300 * Decimal("0.20")


def test_one_account_does_not_pay_for_another(hall: Hall) -> None:
    hall.place(OTHER, quantity=100, price="1300")
    assert hall.account(CLIENT).available == 1_000_000


def test_products_of_one_instrument_are_kept_apart(hall: Hall) -> None:
    for product in ("INTRADAY", "CNC"):
        order = hall.place(product=product, price="1300")
        hall.exchange.force_fill(order, 10, Decimal(1300))
    assert sorted(key[2] for key in hall.account().positions) == ["CNC", "INTRADAY"]
    assert hall.account().utilised == 10 * 1300 * Decimal("1.20")


def test_a_losing_day_lowers_the_available_balance(hall: Hall) -> None:
    hall.exchange.set_auto(False)
    hall.exchange.force_fill(hall.place(price="1400"), 10, Decimal(1400))
    hall.exchange.force_fill(hall.place(side="SELL", price="1390"), 10, Decimal(1390))
    assert hall.account().available == 1_000_000 - 100


def test_a_short_position_earns_when_the_price_falls(hall: Hall) -> None:
    hall.exchange.force_fill(hall.place(side="SELL", price="1450"), 10, Decimal(1450))
    (position,) = hall.account().positions.values()
    assert position.unrealised(Decimal(1440)) == 100
    hall.exchange.force_fill(hall.place(price="1300"), 10, Decimal(1300))
    assert position.realised == 1500


def test_a_new_day_carries_positions_and_settles_profit(hall: Hall) -> None:
    hall.exchange.force_fill(hall.place(price="1300"), 10, Decimal(1300))
    hall.exchange.force_fill(hall.place(side="SELL", price="1500", quantity=4), 4, Decimal(1500))
    hall.next_day()
    hall.exchange.tick()
    account = hall.account()
    (position,) = account.positions.values()
    row = position_row(CLIENT, position, Decimal(1400))
    assert (row["carryForwardBuyQty"], row["carryForwardBuyValue"]) == (6, 7800.0)
    assert (row["dayBuyQty"], row["daySellQty"], row["realizedProfit"]) == (0, 0, 0.0)
    assert (row["buyQty"], row["buyAvg"], row["netQty"]) == (6, 1300.0, 6)
    assert row["unrealizedProfit"] == 600.0
    assert fund_row(account)["sodLimit"] == 1_000_800.0
    assert account.available == 1_000_800 - 6 * 1300 * Decimal("0.20")


def test_a_carried_position_closed_the_next_day_is_gone_the_day_after(hall: Hall) -> None:
    hall.exchange.force_fill(hall.place(price="1300"), 10, Decimal(1300))
    hall.next_day()
    hall.exchange.tick()
    hall.exchange.force_fill(hall.place(side="SELL", price="1500"), 10, Decimal(1500))
    (position,) = hall.account().positions.values()
    row = position_row(CLIENT, position, Decimal(1400))
    assert (row["positionType"], row["buyQty"], row["sellQty"]) == ("CLOSED", 10, 10)
    assert row["realizedProfit"] == 2000.0
    hall.next_day()
    hall.exchange.tick()
    assert hall.account().positions == {}
    assert hall.account().available == 1_002_000


def test_a_second_closing_order_is_an_opening_one(hall: Hall) -> None:
    hall.exchange.force_fill(hall.place(**CALL, price="150"), 65, Decimal(150))
    hall.place(**CALL, side="SELL", price="300")
    hall.place(**CALL, side="SELL", price="300")
    opening = Decimal(65 * 24_500) * Decimal("0.15")
    assert hall.account().utilised == 65 * 150 + opening


def test_profit_of_a_closed_position_moves_the_balance(hall: Hall) -> None:
    hall.exchange.force_fill(hall.place(price="1300"), 10, Decimal(1300))
    hall.exchange.force_fill(hall.place(side="SELL", price="1500"), 10, Decimal(1510))
    account = hall.account()
    assert account.realised == 2100
    assert account.available == 1_002_100
    assert account.utilised == 0
    assert [p.net for p in account.positions.values()] == [0]


def test_a_position_turned_round_restarts_its_cost(hall: Hall) -> None:
    hall.exchange.force_fill(hall.place(price="1300"), 10, Decimal(1300))
    hall.exchange.force_fill(hall.place(side="SELL", quantity=25, price="1500"), 25, Decimal(1500))
    (position,) = hall.account().positions.values()
    assert (position.net, position.cost, position.realised) == (-15, 1500, 2000)


def test_a_modification_beyond_the_funds_is_refused_and_changes_nothing(hall: Hall) -> None:
    order = hall.place(price="1300")
    with pytest.raises(OrderRefusedError, match="insufficient funds"):
        hall.exchange.modify(
            hall.account(), order.order_id, Change("LIMIT", "DAY", quantity=10_000)
        )
    assert (order.quantity, hall.account().utilised) == (10, 2600)


deals = st.lists(
    st.tuples(
        st.sampled_from([CLIENT, OTHER]),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(1, 30),
        st.integers(1398, 1406),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(deals)
def test_cash_is_conserved_when_two_accounts_trade_with_each_other(
    asked: list[tuple[str, str, int, int]],
) -> None:
    hall = Hall()
    hall.empty_street()
    for client_id, side, quantity, price in asked:
        hall.place(client_id, side=side, quantity=quantity, price=str(price))
    last = hall.exchange.markets["NSE_EQ", "2885"].last
    worth = sum(
        position.realised + position.unrealised(last)
        for account in hall.ledger.accounts.values()
        for position in account.positions.values()
    )
    assert abs(worth) < Decimal("0.000001")
    net = [
        position.net
        for account in hall.ledger.accounts.values()
        for position in account.positions.values()
    ]
    assert sum(net) == 0


@settings(max_examples=60, deadline=None)
@given(deals)
def test_margin_is_all_free_once_nothing_works_and_nothing_is_held(
    asked: list[tuple[str, str, int, int]],
) -> None:
    hall = Hall()
    for client_id, side, quantity, price in asked:
        hall.place(client_id, side=side, quantity=quantity, price=str(price))
    for order in hall.ledger.working():
        hall.exchange.cancel(hall.account(order.client_id), order.order_id)
    for account in hall.ledger.accounts.values():
        held = sum((p.margin for p in account.positions.values()), Decimal(0))
        assert account.utilised == held
        if not any(p.net for p in account.positions.values()):
            assert account.available == account.balance + account.realised
