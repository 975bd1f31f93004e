"""Price-time matching, by example and by property."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simexchange.book import Book, Fill, Level, Street
from simexchange.orders import Order, Status, Ticket

NUMBERS = count(1)
NOW = datetime(2026, 9, 8, tzinfo=UTC)


def order(side: str, quantity: int, price: int) -> Order:
    ticket = Ticket(
        side, "NSE_EQ", "2885", "INTRADAY", "LIMIT", "DAY", quantity, price=Decimal(price)
    )
    made = Order.from_ticket(ticket, str(next(NUMBERS)), "1000000001", NOW)
    made.sequence, made.status = int(made.order_id), Status.PENDING
    return made


def enter(book: Book, arriving: Order) -> list[Fill]:
    fills = list(book.match(arriving))
    if arriving.remaining:
        book.rest(arriving)
    return fills


def test_the_better_price_is_filled_first() -> None:
    book = Book()
    dear, cheap = order("SELL", 5, 102), order("SELL", 5, 101)
    enter(book, dear), enter(book, cheap)
    fills = enter(book, order("BUY", 7, 103))
    assert [(f.resting, f.quantity, f.price) for f in fills] == [
        (cheap, 5, Decimal(101)),
        (dear, 2, Decimal(102)),
    ]


def test_at_one_price_the_earlier_order_is_filled_first() -> None:
    book = Book()
    first, second = order("BUY", 5, 100), order("BUY", 5, 100)
    enter(book, first), enter(book, second)
    enter(book, order("SELL", 6, 100))
    assert (first.filled, second.filled) == (5, 1)
    assert (first.status, second.status) == (Status.TRADED, Status.PART_TRADED)


def test_accounts_go_before_the_street_at_one_price() -> None:
    book = Book()
    book.street = Street(asks=[Level(Decimal(100), 50)])
    resting = order("SELL", 5, 100)
    book.rest(resting)
    fills = enter(book, order("BUY", 8, 100))
    assert [f.resting for f in fills] == [resting, None]


def test_the_street_gives_no_more_than_it_has() -> None:
    book = Book()
    book.street = Street(asks=[Level(Decimal(100), 3), Level(Decimal(101), 4)])
    arriving = order("BUY", 10, 101)
    assert [f.quantity for f in enter(book, arriving)] == [3, 4]
    assert book.bids == [arriving]
    assert arriving.average == Decimal(704) / 7


def test_an_order_away_from_the_market_rests() -> None:
    book = Book()
    book.street = Street(asks=[Level(Decimal(100), 3)])
    arriving = order("BUY", 10, 99)
    assert enter(book, arriving) == []
    assert book.bids == [arriving]


def test_the_street_coming_to_a_resting_order_fills_it_at_its_own_price() -> None:
    book = Book()
    resting = order("BUY", 10, 100)
    book.rest(resting)
    book.street = Street(asks=[Level(Decimal(97), 4)])
    assert [(f.quantity, f.price) for f in book.uncross()] == [(4, Decimal(100))]
    assert book.bids == [resting]


def test_crossed_resting_orders_meet_at_the_older_ones_price() -> None:
    book = Book()
    older, newer = order("SELL", 5, 99), order("BUY", 5, 101)
    book.rest(older), book.rest(newer)
    assert [f.price for f in book.uncross()] == [Decimal(99)]
    assert book.bids == book.asks == []


def test_an_order_cannot_take_more_than_is_left() -> None:
    with pytest.raises(ValueError, match="cannot fill 6 of the 5 left"):
        order("BUY", 5, 100).take(6, Decimal(100))


orders = st.lists(
    st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 50), st.integers(95, 105)),
    max_size=25,
)
levels = st.lists(st.tuples(st.integers(95, 105), st.integers(1, 40)), max_size=5)


def street(asks: list[tuple[int, int]], bids: list[tuple[int, int]]) -> Street:
    return Street(
        asks=[Level(Decimal(p), q) for p, q in sorted(asks)],
        bids=[Level(Decimal(p), q) for p, q in sorted(bids, reverse=True)],
    )


@settings(max_examples=150, deadline=None)
@given(orders, levels, levels)
def test_no_order_is_filled_beyond_its_quantity_or_worse_than_its_limit(
    asked: list[tuple[str, int, int]], asks: list[tuple[int, int]], bids: list[tuple[int, int]]
) -> None:
    book, everyone = Book(), [order(*each) for each in asked]
    book.street = street(asks, bids)
    fills = [fill for each in everyone for fill in enter(book, each)]
    for each in everyone:
        own = [f for f in fills if each in {f.order, f.resting}]
        assert sum(f.quantity for f in own) == each.filled <= each.quantity
        assert all(each.accepts(f.price) for f in own)
        assert sum(f.quantity * f.price for f in own) == each.value


@settings(max_examples=150, deadline=None)
@given(orders)
def test_bought_equals_sold_between_accounts(asked: list[tuple[str, int, int]]) -> None:
    book, everyone = Book(), [order(*each) for each in asked]
    for each in everyone:
        enter(book, each)
    bought = [each for each in everyone if each.is_buy]
    sold = [each for each in everyone if not each.is_buy]
    assert sum(o.filled for o in bought) == sum(o.filled for o in sold)
    assert sum(o.value for o in bought) == sum(o.value for o in sold)


@settings(max_examples=150, deadline=None)
@given(orders)
def test_the_book_is_never_left_crossed(asked: list[tuple[str, int, int]]) -> None:
    book = Book()
    for each in asked:
        enter(book, order(*each))
    assert not (book.bids and book.asks and book.bids[0].price >= book.asks[0].price)


@settings(max_examples=150, deadline=None)
@given(orders)
def test_nobody_is_filled_while_a_better_or_earlier_order_waits(
    asked: list[tuple[str, int, int]],
) -> None:
    book = Book()
    for each in asked:
        arriving = order(*each)
        before = list(book.asks if arriving.is_buy else book.bids)
        filled = [f.resting for f in book.match(arriving)]
        assert filled == before[: len(filled)]
        assert all(o is not None and not o.remaining for o in filled[:-1])
        if arriving.remaining:
            book.rest(arriving)


@settings(max_examples=100, deadline=None)
@given(orders, levels, levels)
def test_uncrossing_leaves_nothing_that_could_still_trade(
    asked: list[tuple[str, int, int]], asks: list[tuple[int, int]], bids: list[tuple[int, int]]
) -> None:
    book = Book()
    for each in asked:
        book.rest(order(*each))
    book.street = street(asks, bids)
    for fill in book.uncross():
        assert fill.order.accepts(fill.price)
    assert not (book.bids and book.asks and book.bids[0].price >= book.asks[0].price)
    for resting in [*book.bids, *book.asks]:
        assert resting.remaining
        left = [level for level in book.street.against(resting) if level.quantity]
        assert not any(resting.accepts(level.price) for level in left)
