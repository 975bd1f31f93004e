"""What the bracket's machine decides: case by case, and over every history of three legs."""

from __future__ import annotations

from collections import Counter

import pytest

from apps.orders.bracket_machine import At, Do, Part, Patience, Sight, Works, decide, pause
from tests.orders.bracket_world import World, at_rest, begin, next_worlds


def check_rest(world: World) -> None:
    """What must hold whenever everything has come to rest."""
    alive = {order.part: order for order in world.orders if order.alive}
    if world.held == 0 and Part.ENTRY not in alive:
        assert world.finished, f"it is flat and not over: {world}"
        assert not alive, f"an order outlives the bracket: {world}"
        return
    assert not world.finished, f"over too early: {world}"
    assert world.held >= 0, f"a reverse position is left open: {world}"
    if world.held:
        assert not world.leaving, f"it does not leave: {world}"
        assert alive[Part.STOP_LOSS].left == world.held, f"the stop is not the position: {world}"
        if Part.TARGET in alive:
            assert alive[Part.TARGET].left == world.held, f"nor is the target: {world}"


def explore(first: World) -> tuple[Counter[str], int]:
    """Every world that can come of the first, and in how many ways it can end."""
    counts: Counter[str] = Counter()
    ways: dict[World, int] = {}
    path = [(first, iter(next_worlds(first)))]
    found = [0]  # ways counted so far, of each world on the path
    while path:
        world, following = path[-1]
        after = next(following, None)
        if after is None:
            judge(world, counts)
            path.pop()
            ways[world] = found.pop() or 1
            found[-1:] = [found[-1] + ways[world]] if found else []
        elif after in ways:
            found[-1] += ways[after]
        else:
            path.append((after, iter(next_worlds(after))))
            found.append(0)
    counts["worlds"] = len(ways)
    return counts, ways[first]


def judge(world: World, counts: Counter[str]) -> None:
    assert world.bare <= 4, f"bare for {world.bare} looks and not being left: {world}"
    rested = at_rest(world)
    check_rest(rested)
    both = rested.total(Part.TARGET) > 0 and rested.total(Part.STOP_LOSS) > 0
    counts["both exits filled"] += both
    counts["reversed and traded back"] += rested.total(Part.BACK) > 0
    counts["left at the market"] += rested.total(Part.OUT) > 0


@pytest.mark.parametrize(("units", "faults", "mishaps"), [(2, 1, 0), (2, 0, 1), (1, 1, 1)], ids=str)
@pytest.mark.parametrize("kept", [False, True], ids=["managed", "kept"])
def test_every_history_of_three_legs_ends_flat_or_protected(units, faults, mishaps, kept):
    counts, histories = explore(begin(units, faults, mishaps, kept=kept))
    whose = "the broker keeps" if kept else "the desk keeps"
    print(
        f"\n{histories:,} histories of legs that {whose}, {units} units, {faults} fault, "
        f"{mishaps} mishap: {counts}"
    )
    assert counts["worlds"] > 1000
    assert counts["reversed and traded back"] > 0
    assert counts["both exits filled"] > 0


HOLDS = Works(at=At.OVER, quantity=10, filled=10, total=10)
AT_WORK = Works(at=At.WORKING, quantity=10)


def done(seen: Sight, **patience: float) -> list[tuple[Do, Part | None, int]]:
    steps = decide(seen, Patience(**patience))
    return [(step.do, step.part, step.quantity) for step in steps]


def test_the_stop_comes_first_and_the_target_once_it_works():
    entered = Sight(entry=HOLDS)
    assert done(entered) == [(Do.PLACE, Part.STOP_LOSS, 10)]
    moving = Sight(entry=HOLDS, stop=Works(at=At.MOVING, quantity=10))
    assert done(moving) == []
    assert done(Sight(entry=HOLDS, stop=AT_WORK)) == [(Do.PLACE, Part.TARGET, 10)]
    assert done(Sight(entry=HOLDS, stop=AT_WORK, wants_target=False)) == []


def test_a_partly_filled_target_shrinks_the_stop():
    target = Works(at=At.WORKING, quantity=10, filled=4, total=4)
    seen = Sight(entry=HOLDS, target=target, stop=AT_WORK)
    assert done(seen) == [(Do.CHANGE, Part.STOP_LOSS, 6)]


def test_a_stop_whose_quantity_cannot_be_changed_is_cancelled_for_another():
    target = Works(at=At.WORKING, quantity=10, filled=4, total=4)
    stuck = Works(at=At.WORKING, quantity=10, stuck=True)
    assert done(Sight(entry=HOLDS, target=target, stop=stuck)) == [(Do.CANCEL, Part.STOP_LOSS, 0)]


def test_a_stop_in_doubt_is_waited_for_and_told_of_and_never_doubled():
    doubt = Works(at=At.UNKNOWN, quantity=10)
    seen = Sight(entry=HOLDS, stop=doubt, exposed_for=60, waits_for=60)
    assert {step.about for step in decide(seen, Patience())} == {"exposed", "waits"}


def test_a_target_in_doubt_keeps_no_stop_from_being_placed():
    seen = Sight(entry=HOLDS, target=Works(at=At.UNKNOWN, quantity=10))
    assert done(seen) == [(Do.PLACE, Part.STOP_LOSS, 10)]


@pytest.mark.parametrize("failed", [1, 2, 3])
def test_a_rejected_stop_is_replaced(failed):
    stop = Works(at=At.OVER, quantity=10, failed=failed)
    assert done(Sight(entry=HOLDS, stop=stop)) == [(Do.PLACE, Part.STOP_LOSS, 10)]


@pytest.mark.parametrize(
    "different",
    [
        {"stop": Works(at=At.OVER, quantity=10, failed=3), "exposed_for": 5},
        {"stop": Works(at=At.MOVING, quantity=10), "exposed_for": 15},
        {"stop": AT_WORK, "gap_for": 2},
        {"stop": AT_WORK, "ends": "its market's auction comes"},
    ],
    ids=["rejected too often", "not at work in time", "price past its limit", "market ends"],
)
def test_a_position_that_no_stop_protects_is_left(different):
    steps = done(Sight(entry=HOLDS, **different))
    assert steps[0] == (Do.LEAVE, None, 0)
    stop = different["stop"]
    gone = not stop.alive
    assert ((Do.PLACE, Part.OUT, 10) in steps) == gone
    assert ((Do.CANCEL, Part.STOP_LOSS, 0) in steps) == stop.alive


def test_an_entry_that_went_away_takes_its_exits_along():
    empty = Works(at=At.OVER, quantity=10)
    assert done(Sight(entry=empty)) == [(Do.FINISH, None, 0)]
    assert done(Sight(entry=empty, stop=AT_WORK)) == [(Do.CANCEL, Part.STOP_LOSS, 0)]


def test_a_filled_exit_cancels_its_sibling_and_is_not_over_before_that_is_confirmed():
    target = Works(at=At.OVER, quantity=10, filled=10, total=10)
    seen = Sight(entry=HOLDS, target=target, stop=AT_WORK)
    assert done(seen) == [(Do.CANCEL, Part.STOP_LOSS, 0)]
    asked = Works(at=At.WORKING, quantity=10, cancelling=True)
    assert done(Sight(entry=HOLDS, target=target, stop=asked)) == []
    gone = Works(at=At.OVER, quantity=10)
    assert done(Sight(entry=HOLDS, target=target, stop=gone)) == [(Do.FINISH, None, 0)]


def test_an_exit_that_begins_to_fill_cancels_the_rest_of_the_entry():
    entry = Works(at=At.WORKING, quantity=10, filled=4, total=4)
    stop = Works(at=At.OVER, quantity=4, filled=4, total=4)
    assert done(Sight(entry=entry, stop=stop)) == [(Do.CANCEL, Part.ENTRY, 0)]


def test_both_exits_filled_is_told_and_traded_back():
    filled = Works(at=At.OVER, quantity=10, filled=10, total=10)
    steps = decide(Sight(entry=HOLDS, target=filled, stop=filled), Patience())
    assert [(step.do, step.part) for step in steps] == [
        (Do.LEAVE, None),
        (Do.PLACE, Part.BACK),
        (Do.ALERT, None),
    ]
    assert "10 units more" in steps[-1].why


def test_nothing_is_traded_back_while_the_entry_may_still_fill():
    entry = Works(at=At.WORKING, quantity=10, filled=4, total=4, cancelling=True)
    filled = Works(at=At.OVER, quantity=4, filled=4, total=4)
    seen = Sight(entry=entry, target=filled, stop=filled)
    assert [do for do, _, _ in done(seen)] == [Do.LEAVE, Do.ALERT]


def test_a_position_closed_elsewhere_ends_the_bracket():
    seen = Sight(entry=HOLDS, stop=AT_WORK, cover=0)
    assert done(seen) == [(Do.CANCEL, Part.STOP_LOSS, 0)]
    gone = Sight(entry=HOLDS, stop=Works(at=At.OVER, quantity=10), cover=0)
    (step,) = decide(gone, Patience())
    assert (step.do, step.why) == (Do.FINISH, "the position was closed elsewhere")


def test_nothing_is_placed_while_the_market_takes_no_orders():
    assert done(Sight(entry=HOLDS, takes_orders=False, exposed_for=3600)) == []


def test_a_failed_order_is_tried_again_after_growing_pauses():
    assert [pause(n) for n in (0, 1, 2)] == [0, 0.75, 1.125]
    assert pause(99) == 30
    late = Works(at=At.OVER, quantity=10, failed=1, quiet_for=0.5)
    assert done(Sight(entry=HOLDS, stop=late)) == []
