"""Whatever happens to super orders in whatever order, their parts agree with each other."""

import tempfile
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from simexchange import journal
from simexchange.exchange import OrderRefusedError
from simexchange.faults import LEG_FAULTS, Fault
from simexchange.orders import BRACKET, ENTRY, STOP, TARGET, Change, Order, Status, Ticket
from simexchange.pacing import Pace
from simexchange.supers import EXITS, Levels, SuperOrder, has_fired
from tests.simexchange.harness import CLIENT, RELIANCE, Hall
from tests.simexchange.test_invariants import shown

prices = st.integers(1380, 1424)
jumps = st.sampled_from([0, 0, 2, 5])


class Brackets(RuleBasedStateMachine):
    """One account with brackets in one instrument, and a market that goes anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.state = Path(self.folder.name) / "state"
        self.hall = Hall(state=self.state)
        self.dead: set[str] = set()
        self.stops: dict[str, Decimal] = {}

    @rule(
        side=st.sampled_from(["BUY", "SELL"]),
        kind=st.sampled_from(["LIMIT", "LIMIT", "MARKET"]),
        quantity=st.integers(1, 500),
        price=prices,
        far=st.integers(2, 12),
        jump=jumps,
    )
    def place(self, side: str, kind: str, quantity: int, price: int, far: int, jump: int) -> None:
        sign = 1 if side == "BUY" else -1
        with suppress(OrderRefusedError):
            self.hall.bracket(
                target=str(price + sign * far),
                stop=str(price - sign * far),
                jump=str(jump),
                side=side,
                order_type=kind,
                quantity=quantity,
                price=str(price if kind == "LIMIT" else 0),
            )

    @rule(quantity=st.integers(1, 500), price=prices, profit=st.integers(1, 12))
    def place_native(self, quantity: int, price: int, profit: int) -> None:
        ticket = Ticket(
            "BUY",
            *RELIANCE,
            BRACKET,
            "LIMIT",
            "DAY",
            quantity,
            Decimal(price),
            profit_by=Decimal(profit),
            loss_by=Decimal(profit),
        )
        self.hall.exchange.place(self.hall.account(), ticket, SuperOrder("", CLIENT))

    @rule()
    def arrive(self) -> None:
        self.hall.arrive()

    @rule(price=prices)
    def pin(self, price: int) -> None:
        self.hall.pin(str(price))

    @rule(on=st.booleans())
    def switch(self, on: bool) -> None:
        self.hall.exchange.set_auto(on)

    @rule(units=st.integers(1, 100))
    def fill_in_pieces(self, units: int) -> None:
        self.hall.exchange.set_pace(Pace(units, 0.1))

    @rule(data=st.data(), leg=st.sampled_from([ENTRY, *EXITS]))
    def cancel(self, data: st.DataObject, leg: str) -> None:
        if each := self._pick(data):
            with suppress(OrderRefusedError):
                self.hall.supers.cancel(self.hall.account(), each.order_id, leg)

    @rule(data=st.data(), leg=st.sampled_from(EXITS), price=prices, jump=jumps)
    def change_exit(self, data: st.DataObject, leg: str, price: int, jump: int) -> None:
        if each := self._pick(data):
            levels = Levels(Decimal(price), Decimal(price), Decimal(jump))
            with suppress(OrderRefusedError):
                self.hall.supers.change_exit(self.hall.account(), each.order_id, leg, levels)
                self.stops.pop(each.order_id, None)

    @rule(data=st.data(), quantity=st.integers(1, 500), price=prices, jump=jumps)
    def change_entry(self, data: st.DataObject, quantity: int, price: int, jump: int) -> None:
        if each := self._pick(data):
            change = Change("LIMIT", "DAY", quantity=quantity, price=Decimal(price))
            levels = Levels(Decimal(0), Decimal(0), Decimal(jump))
            with suppress(OrderRefusedError):
                self.hall.supers.change_entry(self.hall.account(), each.order_id, change, levels)

    @rule(data=st.data(), leg=st.sampled_from(EXITS))
    def fire(self, data: st.DataObject, leg: str) -> None:
        if each := self._pick(data):
            with suppress(OrderRefusedError):
                self.hall.supers.fire(each.order_id, leg)

    @rule(data=st.data(), share=st.integers(1, 100))
    def force_fill(self, data: st.DataObject, share: int) -> None:
        working = self.hall.ledger.working()
        if working:
            order = data.draw(st.sampled_from(working))
            units = -(-order.remaining * share // 100)
            self.hall.exchange.force_fill(order, units, order.price)

    @rule(fault=st.sampled_from(LEG_FAULTS))
    def go_wrong_once(self, fault: str) -> None:
        self.hall.faults.add(Fault(fault, times=1))

    @rule()
    def leave_everything(self) -> None:
        self.hall.exchange.exit_all(self.hall.account())

    @rule()
    def night(self) -> None:
        self.hall.next_day()
        self.hall.exchange.tick()

    def _pick(self, data: st.DataObject) -> SuperOrder | None:
        there = list(self.hall.ledger.supers.values())
        return data.draw(st.sampled_from(there)) if there else None

    def _parts(self, each: SuperOrder) -> tuple[Order, Order | None, Order | None]:
        exits = (self.hall.supers.life.exit(each, leg) for leg in (STOP, TARGET))
        return self.hall.ledger.orders[each.order_id], *exits

    @invariant()
    def an_exit_is_for_what_the_entry_has_filled(self) -> None:
        for each in self.hall.ledger.supers.values():
            entry, *exits = self._parts(each)
            for order in exits:
                if order is not None:
                    assert 0 < order.quantity <= entry.filled
                    assert order.side != entry.side
                    assert not order.watched or order.quantity == entry.filled
                    assert not order.watched or order.status == Status.PENDING

    @invariant()
    def at_most_one_exit_is_at_the_exchange_unless_told_to_go_wrong(self) -> None:
        for each in self.hall.ledger.supers.values():
            entry, stop, target = self._parts(each)
            fired = [order for order in (stop, target) if order and has_fired(order)]
            if each.stays:
                continue
            assert len(fired) <= 1
            if fired:
                assert not any(order.watched for order in (stop, target) if order)
                assert not entry.is_open

    @invariant()
    def a_filled_entry_has_its_exits_unless_they_were_ended(self) -> None:
        for each in self.hall.ledger.supers.values():
            entry, stop, target = self._parts(each)
            if entry.filled and entry.is_working and not each.gone:
                assert stop is not None
                assert target is not None
            if not entry.filled:
                assert (stop, target) == (None, None)

    @invariant()
    def by_itself_the_stop_only_follows(self) -> None:
        for each in self.hall.ledger.supers.values():
            sign = 1 if self.hall.ledger.orders[each.order_id].is_buy else -1
            assert (each.stop - self.stops.get(each.order_id, each.stop)) * sign >= 0
            self.stops[each.order_id] = each.stop

    @invariant()
    def what_has_ended_never_works_again(self) -> None:
        for order in self.hall.ledger.orders.values():
            assert order.order_id not in self.dead or not order.is_open
            if not order.is_open:
                self.dead.add(order.order_id)

    @invariant()
    def no_trade_is_lost_and_waiting_exits_tie_up_nothing(self) -> None:
        bought = sum(
            trade.quantity * (1 if trade.side == "BUY" else -1) for trade in self.hall.ledger.trades
        )
        account = self.hall.account(CLIENT)
        assert sum(position.net for position in account.positions.values()) == bought
        demanding = {i for demand in account.demands.values() for i in demand.orders}
        working = self.hall.ledger.working()
        assert demanding == {order.order_id for order in working if not order.watched}

    @invariant()
    def every_working_order_stands_in_one_place(self) -> None:
        market = self.hall.exchange.markets[RELIANCE]
        beside = [*market.stops, *market.paced, *market.watched]
        standing = [*market.book.bids, *market.book.asks, *beside]
        working = self.hall.ledger.working()
        assert sorted(o.order_id for o in standing) == sorted(o.order_id for o in working)
        assert all(order.watched for order in market.watched)

    def teardown(self) -> None:
        self.hall.ledger.close()
        again = Hall(state=self.state)
        again.now = self.hall.now
        again.exchange.restore(journal.read(self.state))
        assert shown(again) == shown(self.hall)
        assert again.ledger.supers == self.hall.ledger.supers
        again.ledger.close()
        self.folder.cleanup()


TestBrackets = Brackets.TestCase
TestBrackets.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
