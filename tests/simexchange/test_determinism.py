"""The same seed and the same calls give the same exchange."""

from simexchange.trading import Call, Trading
from tests.simexchange.harness import OTHER, Hall


def one_day(seed: int) -> tuple[list, list, dict]:
    hall = Hall(seed)
    hall.exchange.walk_on = True
    for step in range(60):
        if step % 3 == 0:
            client = OTHER if step % 2 else "1000000001"
            side = "SELL" if step % 4 == 0 else "BUY"
            hall.place(client, side=side, price=str(1398 + step % 9), quantity=50 + step)
        hall.exchange.tick()
    trading = Trading(hall.exchange)
    call = Call(hall.account())
    return hall.events, trading.trades(call).body, hall.exchange.floor.prices()


def test_two_runs_of_one_seed_are_equal() -> None:
    assert one_day(3) == one_day(3)


def test_another_seed_is_another_day() -> None:
    assert one_day(3)[2] != one_day(4)[2]


def test_order_ids_follow_from_the_seed_and_the_count_alone() -> None:
    still, moving = Hall(5), Hall(5)
    moving.exchange.walk_on = True
    moving.exchange.tick()
    ids = [
        [hall.place(price=price).order_id for price in ("1405", "1300")] for hall in (still, moving)
    ]
    assert ids[0] == ids[1] == ["105260908000001", "105260908000002"]
