"""The life of super orders inside the exchange, on a still clock."""

from decimal import Decimal
from pathlib import Path

import pytest

from simexchange import journal
from simexchange.exchange import OrderRefusedError
from simexchange.faults import Fault
from simexchange.orders import ENTRY, STOP, TARGET, ByHand, Change, Order, Status, Ticket
from simexchange.supers import Levels, SuperOrder
from tests.simexchange.harness import OTHER, Hall

RESTING = {"price": "1390", "quantity": 10}
LIMIT = Change("LIMIT", "DAY")


def entry(hall: Hall, each: SuperOrder) -> Order:
    return hall.ledger.orders[each.order_id]


def leg(hall: Hall, each: SuperOrder, name: str) -> Order:
    order = hall.supers.life.exit(each, name)
    assert order is not None
    return order


def states(hall: Hall, each: SuperOrder) -> tuple[str, str, str]:
    """Of the whole, of the stop, of the target."""
    return (
        hall.supers.status(each).value,
        leg(hall, each, STOP).status.value,
        leg(hall, each, TARGET).status.value,
    )


def net(hall: Hall) -> int:
    return sum(position.net for position in hall.account().positions.values())


def test_before_the_first_fill_only_the_entry_is_in_the_book(hall: Hall) -> None:
    each = hall.bracket(**RESTING)
    assert [order.leg for order in hall.ledger.orders.values()] == [ENTRY]
    assert hall.supers.status(each) == Status.PENDING


def test_a_filled_entry_brings_both_exits_to_life_waiting_at_the_broker(hall: Hall) -> None:
    each = hall.bracket()
    assert states(hall, each) == ("TRADED", "PENDING", "PENDING")
    stop, target = leg(hall, each, STOP), leg(hall, each, TARGET)
    assert (stop.side, stop.order_type, stop.trigger, stop.quantity) == (
        "SELL",
        "STOP_LOSS",
        1350,
        10,
    )
    assert stop.price == Decimal("1336.5")
    assert (target.side, target.order_type, target.price) == ("SELL", "LIMIT", 1450)
    assert {stop.exchange_order_id, target.exchange_order_id} == {"0"}
    assert {stop.parent, target.parent} == {each.order_id}


def test_exits_grow_with_the_entry(hall: Hall) -> None:
    each = hall.bracket(**RESTING)
    for filled in (3, 4, 10):
        order = entry(hall, each)
        hall.exchange.force_fill(order, filled - order.filled, order.price)
        assert {o.quantity for o in hall.supers.life.exits(each)} == {filled}
    assert states(hall, each) == ("TRADED", "PENDING", "PENDING")


def test_waiting_exits_tie_up_no_margin(hall: Hall) -> None:
    hall.bracket()
    (position,) = hall.account().positions.values()
    assert hall.account().utilised == position.margin


@pytest.mark.parametrize(
    ("side", "levels", "price", "filled"),
    [
        ("BUY", ("1450", "1350"), "1450", TARGET),
        ("BUY", ("1450", "1350"), "1460", TARGET),
        ("BUY", ("1450", "1350"), "1350", STOP),
        ("BUY", ("1450", "1350"), "1300", STOP),
        ("SELL", ("1350", "1450"), "1350", TARGET),
        ("SELL", ("1350", "1450"), "1449.9", None),
        ("SELL", ("1350", "1450"), "1451", STOP),
    ],
)
def test_the_exit_whose_price_comes_trades_and_the_other_is_cancelled(
    hall: Hall, side: str, levels: tuple[str, str], price: str, filled: str | None
) -> None:
    target, stop = levels
    limit = "1410" if side == "BUY" else "1395"
    each = hall.bracket(target=target, stop=stop, side=side, price=limit)
    hall.pin(price)
    if filled is None:
        assert states(hall, each) == ("TRADED", "PENDING", "PENDING")
        return
    ended = {STOP: ("CLOSED", "TRADED", "CANCELLED"), TARGET: ("CLOSED", "CANCELLED", "TRADED")}
    assert states(hall, each) == ended[filled]
    assert net(hall) == 0


def test_an_exit_is_told_as_triggered_and_then_traded(hall: Hall) -> None:
    each = hall.bracket()
    hall.events.clear()
    hall.pin("1450")
    target, stop = leg(hall, each, TARGET).order_id, leg(hall, each, STOP).order_id
    assert [(who, word) for who, word, _ in hall.events] == [
        (target, "Triggered"),
        (stop, "Cancelled"),
        (target, "Traded"),
    ]


def test_a_fired_target_rests_when_the_price_goes_back_without_its_sibling(hall: Hall) -> None:
    each = hall.bracket()
    hall.empty_street()
    hall.supers.fire(each.order_id, TARGET)
    assert states(hall, each) == ("TRADED", "CANCELLED", "PENDING")
    assert leg(hall, each, TARGET) in hall.exchange.markets["NSE_EQ", "2885"].book.asks


def test_an_exit_that_fires_on_a_part_filled_entry_cancels_its_rest(hall: Hall) -> None:
    each = hall.bracket(**RESTING)
    hall.exchange.force_fill(entry(hall, each), 4, Decimal(1390))
    hall.supers.fire(each.order_id, STOP)
    assert entry(hall, each).status == Status.CANCELLED
    assert states(hall, each) == ("CLOSED", "TRADED", "CANCELLED")
    assert net(hall) == 0


def test_cancelling_the_entry_before_a_fill_ends_everything(hall: Hall) -> None:
    each = hall.bracket(**RESTING)
    hall.supers.cancel(hall.account(), each.order_id, ENTRY)
    hall.pin("1380")
    assert hall.supers.status(each) == Status.CANCELLED
    assert len(hall.ledger.orders) == 1


@pytest.mark.parametrize("filled", [4, 10])
def test_cancelling_the_entry_after_a_fill_leaves_the_position_bare(
    hall: Hall, filled: int
) -> None:
    each = hall.bracket(**RESTING)
    hall.exchange.force_fill(entry(hall, each), filled, Decimal(1390))
    hall.supers.cancel(hall.account(), each.order_id, ENTRY)
    assert states(hall, each)[1:] == ("CANCELLED", "CANCELLED")
    assert net(hall) == filled
    with pytest.raises(OrderRefusedError, match="already"):
        hall.supers.cancel(hall.account(), each.order_id, ENTRY)


def test_an_entry_cancelled_as_a_plain_order_takes_its_exits_along(hall: Hall) -> None:
    each = hall.bracket(**RESTING)
    hall.exchange.force_fill(entry(hall, each), 4, Decimal(1390))
    hall.exchange.cancel(hall.account(), each.order_id)
    assert states(hall, each) == ("CANCELLED", "CANCELLED", "CANCELLED")


@pytest.mark.parametrize("name", [STOP, TARGET])
@pytest.mark.parametrize("filled_first", [True, False])
def test_a_cancelled_exit_never_comes_back(hall: Hall, name: str, filled_first: bool) -> None:
    each = hall.bracket(**RESTING)
    if filled_first:
        hall.exchange.force_fill(entry(hall, each), 4, Decimal(1390))
    hall.supers.cancel(hall.account(), each.order_id, name)
    levels = Levels(Decimal(1440), Decimal(1360))
    for act in (
        lambda: hall.supers.cancel(hall.account(), each.order_id, name),
        lambda: hall.supers.change_exit(hall.account(), each.order_id, name, levels),
    ):
        with pytest.raises(OrderRefusedError, match="Leg is already Cancelled"):
            act()
    hall.exchange.force_fill(entry(hall, each), entry(hall, each).remaining, Decimal(1390))
    working = [order.leg for order in hall.ledger.working()]
    assert working == [TARGET if name == STOP else STOP]


def test_a_fired_exit_cannot_be_changed_but_cancelled(hall: Hall) -> None:
    each = hall.bracket()
    hall.empty_street()
    hall.supers.fire(each.order_id, TARGET)
    with pytest.raises(OrderRefusedError, match="Leg is already Triggered"):
        hall.supers.change_exit(
            hall.account(), each.order_id, TARGET, Levels(Decimal(1440), Decimal(0))
        )
    hall.supers.cancel(hall.account(), each.order_id, TARGET)
    assert states(hall, each) == ("TRADED", "CANCELLED", "CANCELLED")


def test_the_entry_is_changed_with_its_exits_while_it_is_open(hall: Hall) -> None:
    each = hall.bracket(**RESTING)
    hall.exchange.force_fill(entry(hall, each), 4, Decimal(1390))
    change = Change("LIMIT", "DAY", quantity=6, price=Decimal(1391))
    levels = Levels(Decimal(1460), Decimal(1340), Decimal(5))
    hall.supers.change_entry(hall.account(), each.order_id, change, levels)
    assert (entry(hall, each).quantity, entry(hall, each).price) == (6, 1391)
    assert leg(hall, each, TARGET).price == 1460
    assert (leg(hall, each, STOP).trigger, each.jump) == (1340, 5)
    hall.exchange.force_fill(entry(hall, each), 2, Decimal(1391))
    with pytest.raises(OrderRefusedError, match="already Traded"):
        hall.supers.change_entry(hall.account(), each.order_id, LIMIT, levels)


def test_an_exit_is_changed_before_and_after_its_entry_trades(hall: Hall) -> None:
    each = hall.bracket(**RESTING)
    account = hall.account()
    hall.supers.change_exit(account, each.order_id, TARGET, Levels(Decimal(1440), Decimal(0)))
    hall.supers.change_exit(account, each.order_id, STOP, Levels(Decimal(0), Decimal(1360)))
    hall.pin("1390")
    assert (leg(hall, each, TARGET).price, leg(hall, each, STOP).trigger) == (1440, 1360)
    hall.supers.change_exit(account, each.order_id, STOP, Levels(Decimal(0), Decimal(1370)))
    hall.pin("1370")
    assert states(hall, each) == ("CLOSED", "TRADED", "CANCELLED")


def test_a_stop_moved_to_where_the_price_is_fires_at_once(hall: Hall) -> None:
    each = hall.bracket()
    hall.supers.change_exit(hall.account(), each.order_id, STOP, Levels(Decimal(0), Decimal(1402)))
    assert states(hall, each) == ("CLOSED", "TRADED", "CANCELLED")


def test_the_26th_change_of_an_exit_is_refused(hall: Hall) -> None:
    each = hall.bracket()
    for step in range(25):
        level = Levels(Decimal(1450 + step % 2), Decimal(0))
        hall.supers.change_exit(hall.account(), each.order_id, TARGET, level)
    with pytest.raises(OrderRefusedError, match="Maximum number"):
        hall.supers.change_exit(hall.account(), each.order_id, TARGET, level)


def test_exits_are_not_changed_as_plain_orders(hall: Hall) -> None:
    hall.supers.own_ids = True
    each = hall.bracket()
    with pytest.raises(OrderRefusedError, match="with its super order"):
        hall.exchange.modify(hall.account(), each.legs[STOP], LIMIT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "1410"}, "Target Price is on the wrong side"),
        ({"stop": "1410"}, "Stop Loss Price is on the wrong side"),
        ({"side": "SELL"}, "Target Price and Stop Loss Price are on the wrong sides"),
        ({"target": "1450.05"}, "multiples of tick size"),
        ({"stop": "1000"}, "outside the circuit limits"),
        ({"target": "1340", "order_type": "MARKET", "price": "0"}, "on the wrong sides"),
    ],
)
def test_levels_that_make_no_sense_are_refused_and_nothing_is_accepted(
    hall: Hall, changes: dict, message: str
) -> None:
    with pytest.raises(OrderRefusedError, match=message):
        hall.bracket(**changes)
    assert (hall.ledger.orders, hall.ledger.supers) == ({}, {})


def test_a_rejected_entry_has_no_exits(hall: Hall) -> None:
    each = hall.bracket(quantity=10_000)
    assert (hall.supers.status(each), len(hall.ledger.orders)) == (Status.REJECTED, 1)


def test_another_account_cannot_touch_it(hall: Hall) -> None:
    each = hall.bracket()
    with pytest.raises(OrderRefusedError, match="Order not found"):
        hall.supers.cancel(hall.account(OTHER), each.order_id, ENTRY)


# ---- trailing


def trail(hall: Hall, *prices: str) -> None:
    for price in prices:
        hall.pin(price)


def test_the_stop_follows_in_whole_jumps_and_never_goes_back(hall: Hall) -> None:
    each = hall.bracket(jump="5", target="1500")
    assert each.anchor == 1402
    for price, stop in (("1406.9", 1350), ("1407", 1355), ("1390", 1355), ("1424", 1370)):
        hall.pin(price)
        assert leg(hall, each, STOP).trigger == stop
    hall.pin("1370")
    assert states(hall, each) == ("CLOSED", "TRADED", "CANCELLED")


def test_the_stop_of_a_sale_follows_downwards(hall: Hall) -> None:
    each = hall.bracket(side="SELL", price="1395", target="1300", stop="1450", jump="10")
    trail(hall, "1391", "1420", "1362")
    assert each.stop == 1410
    assert leg(hall, each, STOP).trigger == 1410


@pytest.mark.parametrize("by", ["stop", "entry"])
def test_a_change_without_a_jump_ends_the_trailing(hall: Hall, by: str) -> None:
    each = hall.bracket(jump="5", target="1500", price="1400", quantity=10)
    hall.exchange.force_fill(entry(hall, each), 4, Decimal(1400))
    levels = Levels(Decimal(0), Decimal(1360))
    if by == "stop":
        hall.supers.change_exit(hall.account(), each.order_id, STOP, levels)
    else:
        hall.supers.change_entry(hall.account(), each.order_id, LIMIT, levels)
    trail(hall, "1450")
    assert leg(hall, each, STOP).trigger == 1360


def test_a_new_jump_counts_from_the_price_of_that_moment(hall: Hall) -> None:
    each = hall.bracket(target="1500")
    trail(hall, "1420")
    levels = Levels(Decimal(0), Decimal(1360), Decimal(10))
    hall.supers.change_exit(hall.account(), each.order_id, STOP, levels)
    trail(hall, "1429.9")
    assert each.stop == 1360
    trail(hall, "1430")
    assert each.stop == 1370


# ---- what goes wrong at the broker


def test_a_rejected_stop_leaves_the_target_alone(hall: Hall) -> None:
    hall.faults.add(Fault("stop_rejected", times=1))
    each = hall.bracket()
    assert states(hall, each) == ("TRADED", "REJECTED", "PENDING")
    assert leg(hall, each, STOP).reason.startswith("RMS:")
    hall.pin("1340")
    assert net(hall) == 10
    assert states(hall, hall.bracket(price="1350", stop="1300")) == ("TRADED", "PENDING", "PENDING")


def test_both_exits_filled_turn_the_position_round(hall: Hall) -> None:
    hall.faults.add(Fault("both_exits_filled"))
    each = hall.bracket()
    hall.pin("1450")
    assert states(hall, each) == ("CLOSED", "TRADED", "TRADED")
    assert net(hall) == -10


def test_a_sibling_that_stays_is_still_there_and_can_fire(hall: Hall) -> None:
    hall.faults.add(Fault("sibling_stays", times=1))
    each = hall.bracket()
    hall.pin("1450")
    assert states(hall, each) == ("CLOSED", "PENDING", "TRADED")
    hall.pin("1350")
    assert states(hall, each) == ("CLOSED", "TRADED", "TRADED")
    assert net(hall) == -10


def test_a_sibling_that_stays_can_be_cancelled_by_the_client(hall: Hall) -> None:
    hall.faults.add(Fault("sibling_stays", times=1))
    each = hall.bracket()
    hall.pin("1450")
    hall.supers.cancel(hall.account(), each.order_id, STOP)
    assert states(hall, each) == ("CLOSED", "CANCELLED", "TRADED")


def test_the_same_seed_spoils_the_same_legs() -> None:
    def spoilt(seed: int) -> list[str]:
        hall = Hall(seed)
        hall.faults.add(Fault("stop_rejected", probability=0.5))
        return [states(hall, hall.bracket(quantity=1))[1] for _ in range(12)]

    first = spoilt(3)
    assert first == spoilt(3)
    assert {"REJECTED", "PENDING"} == set(first)


# ---- with the rest of the exchange


def test_leaving_everything_ends_the_exits_too(hall: Hall) -> None:
    each = hall.bracket()
    hall.exchange.exit_all(hall.account())
    hall.arrive()
    assert states(hall, each)[1:] == ("CANCELLED", "CANCELLED")
    assert net(hall) == 0


def test_exits_expire_at_midnight(hall: Hall) -> None:
    each = hall.bracket()
    hall.next_day()
    hall.exchange.tick()
    assert states(hall, each)[1:] == ("EXPIRED", "EXPIRED")
    assert list(hall.supers.of(hall.account())) == []


def test_an_exit_filled_by_force_ends_its_sibling(hall: Hall) -> None:
    each = hall.bracket()
    hall.exchange.force_fill(leg(hall, each, STOP), 10, Decimal(1340))
    assert states(hall, each) == ("CLOSED", "TRADED", "CANCELLED")


def test_a_position_closed_by_hand_leaves_exits_that_would_open_another(hall: Hall) -> None:
    each = hall.bracket()
    ticket = Ticket("SELL", "NSE_EQ", "2885", "INTRADAY", "MARKET", "DAY", 10)
    hall.exchange.place_by_hand(hall.account(), ticket, ByHand(fill=True))
    assert states(hall, each) == ("TRADED", "PENDING", "PENDING")
    hall.pin("1350")
    assert net(hall) == -10


def test_matching_switched_off_fires_nothing(hall: Hall) -> None:
    each = hall.bracket(jump="5")
    hall.exchange.set_auto(False)
    hall.pin("1450")
    assert states(hall, each) == ("TRADED", "PENDING", "PENDING")
    assert each.stop == 1350


def test_a_super_order_goes_on_after_a_restart(tmp_path: Path) -> None:
    hall = Hall(state=tmp_path / "state")
    each = hall.bracket(jump="5", target="1500")
    gone = hall.bracket(**RESTING)
    hall.supers.cancel(hall.account(), gone.order_id, TARGET)
    hall.pin("1412")
    hall.exchange.tick()
    hall.ledger.save_prices(hall.exchange.floor.prices())
    hall.ledger.close()
    later = Hall(state=tmp_path / "state")
    later.exchange.restore(journal.read(tmp_path / "state"))
    assert later.ledger.supers == {each.order_id: each, gone.order_id: gone}
    again = later.ledger.supers[each.order_id]
    later.pin("1417")
    assert leg(later, again, STOP).trigger == 1365
    later.pin("1365")
    assert states(later, again) == ("CLOSED", "TRADED", "CANCELLED")
    later.ledger.close()
