"""Whatever is done to the exchange in whatever order, its records agree with each other."""

import tempfile
from collections import defaultdict
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from simexchange import journal, rows
from simexchange.exchange import OrderRefusedError
from simexchange.orders import ByHand, Change, Order, Ticket
from simexchange.pacing import Pace
from tests.simexchange.harness import CLIENT, OTHER, RELIANCE, Hall

prices = st.integers(1390, 1414)
quantities = st.integers(1, 900)


class Days(RuleBasedStateMachine):
    """Two accounts doing anything at all in one instrument."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.state = Path(self.folder.name) / "state"
        self.hall = Hall(state=self.state)

    @rule(
        client=st.sampled_from([CLIENT, OTHER]),
        side=st.sampled_from(["BUY", "SELL"]),
        kind=st.sampled_from(["LIMIT", "LIMIT", "LIMIT", "MARKET", "STOP_LOSS"]),
        validity=st.sampled_from(["DAY", "DAY", "IOC"]),
        quantity=quantities,
        price=prices,
    )
    def place(
        self, client: str, side: str, kind: str, validity: str, quantity: int, price: int
    ) -> None:
        trigger = price - 2 if side == "BUY" else price + 2
        self.hall.send(
            client,
            side=side,
            order_type=kind,
            validity=validity,
            quantity=quantity,
            price=str(price),
            trigger=str(trigger if kind == "STOP_LOSS" else 0),
        )

    @rule()
    def arrive(self) -> None:
        self.hall.arrive()

    @rule(price=prices)
    def pin(self, price: int) -> None:
        self.hall.pin(str(price))

    @rule(on=st.booleans())
    def switch(self, on: bool) -> None:
        self.hall.exchange.set_auto(on)

    @rule(units=st.integers(1, 300), client=st.sampled_from([None, CLIENT]))
    def fill_in_pieces(self, units: int, client: str | None) -> None:
        self.hall.exchange.set_pace(Pace(units, 0.1, client))

    @rule()
    def fill_at_once(self) -> None:
        self.hall.exchange.floor.paces.clear()

    @rule(client=st.sampled_from([CLIENT, OTHER]), units=quantities, fill=st.booleans())
    def trade_by_hand(self, client: str, units: int, fill: bool) -> None:
        ticket = Ticket("BUY", *RELIANCE, "INTRADAY", "LIMIT", "DAY", units, Decimal(1400))
        self.hall.exchange.place_by_hand(self.hall.account(client), ticket, ByHand(fill=fill))

    @rule(data=st.data(), quantity=quantities, price=prices)
    def modify(self, data: st.DataObject, quantity: int, price: int) -> None:
        if order := self._pick(data):
            change = Change("LIMIT", "DAY", quantity=quantity, price=Decimal(price))
            with suppress(OrderRefusedError):
                self.hall.exchange.modify(
                    self.hall.account(order.client_id), order.order_id, change
                )

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if order := self._pick(data):
            with suppress(OrderRefusedError):
                self.hall.exchange.cancel(self.hall.account(order.client_id), order.order_id)

    @rule(data=st.data(), share=st.integers(1, 100))
    def force_fill(self, data: st.DataObject, share: int) -> None:
        order = self._pick(data)
        if order and order.is_working:
            self.hall.exchange.force_fill(order, -(-order.remaining * share // 100), order.price)

    @rule()
    def night(self) -> None:
        self.hall.next_day()
        self.hall.exchange.tick()

    def _pick(self, data: st.DataObject) -> Order | None:
        orders = list(self.hall.ledger.orders.values())
        return data.draw(st.sampled_from(orders)) if orders else None

    @invariant()
    def working_orders_stand_in_the_market_and_no_others(self) -> None:
        market = self.hall.exchange.markets[RELIANCE]
        standing = [*market.book.bids, *market.book.asks, *market.stops, *market.paced]
        working = self.hall.ledger.working()
        assert sorted(o.order_id for o in standing) == sorted(o.order_id for o in working)
        assert all(order.waits_for_trigger for order in market.stops)

    @invariant()
    def trades_add_up_to_orders_and_positions(self) -> None:
        filled: dict[str, int] = defaultdict(int)
        value: dict[str, Decimal] = defaultdict(Decimal)
        net: dict[str, int] = defaultdict(int)
        for trade in self.hall.ledger.trades:
            filled[trade.order_id] += trade.quantity
            value[trade.order_id] += trade.quantity * trade.price
            net[trade.client_id] += trade.quantity * (1 if trade.side == "BUY" else -1)
        for order in self.hall.ledger.orders.values():
            assert (filled[order.order_id], value[order.order_id]) == (order.filled, order.value)
            assert 0 <= order.filled <= order.quantity
        for account in self.hall.ledger.accounts.values():
            assert sum(p.net for p in account.positions.values()) == net[account.client_id]

    @invariant()
    def the_feed_never_takes_a_fill_back(self) -> None:
        seen: dict[str, int] = defaultdict(int)
        for order_id, _, filled in self.hall.events:
            assert filled >= seen[order_id]
            seen[order_id] = filled

    def teardown(self) -> None:
        self.hall.ledger.close()
        again = Hall(state=self.state)
        again.now = self.hall.now
        again.exchange.restore(journal.read(self.state))
        assert shown(again) == shown(self.hall)
        again.ledger.close()
        self.folder.cleanup()


def shown(hall: Hall) -> list[object]:
    """Everything the wire shows of an exchange."""
    orders = hall.ledger.orders.values()
    return [
        [rows.order_row(order, hall.ledger.instruments[order.key]) for order in orders],
        hall.ledger.trades,
        [rows.fund_row(account) for account in hall.ledger.accounts.values()],
        [
            (account.client_id, key, rows.position_row(account.client_id, position, Decimal(1)))
            for account in hall.ledger.accounts.values()
            for key, position in account.positions.items()
        ],
    ]


TestDays = Days.TestCase
TestDays.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
