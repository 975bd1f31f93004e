"""The arithmetic of slices: cut without loss, counted exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.orders.splitting import Piece, largest, pieces_of, split, standing

LOTS = st.integers(1, 500)


@given(st.integers(1, 2**31 - 1), LOTS, st.integers(1, 10**7))
def test_nothing_is_lost_and_nothing_is_above_the_freeze_quantity(total, lot, freeze):
    if pieces_of(total, lot, freeze) > 1000:
        total = total % 1000 + 1
    cut = split(total, lot, freeze)
    assert sum(cut) == total
    assert len(cut) == pieces_of(total, lot, freeze)
    assert min(cut) > 0
    most = largest(lot, freeze)
    if most == 0:
        assert cut == [total]
        return
    assert max(cut) <= max(most, 0)
    assert set(cut[:-1]) <= {most}
    assert [size % lot for size in cut[:-1]] == [0] * (len(cut) - 1)
    assert (cut[-1] % lot == 0) == (total % lot == 0)


@pytest.mark.parametrize(
    ("total", "lot", "freeze", "cut"),
    [
        (5400, 75, 1800, [1800, 1800, 1800]),
        (5400, 65, 1800, [1755, 1755, 1755, 135]),
        (1800, 75, 1800, [1800]),
        (1801, 1, 1800, [1800, 1]),
        (130, 65, 64, [130]),  # no lot fits: the gate refuses it as it is
        (10**9, 1, None, [10**9]),
        (0, 1, 5, [0]),
        (-7, 1, 5, [-7]),
    ],
)
def test_cut_as_the_exchange_wants_it(total, lot, freeze, cut):
    assert split(total, lot, freeze) == cut


@st.composite
def wholes(draw):
    """A plan, of which some slices are placed and have come to something."""
    total, lot = draw(st.integers(1, 400)), draw(st.integers(1, 9))
    plan = split(total * lot, lot, draw(st.integers(lot, 40 * lot)))
    placed = []
    for size in plan[: draw(st.integers(0, len(plan)))]:
        placed.append(Piece(size, draw(st.integers(0, size)), draw(st.booleans())))
    return total * lot, plan, placed


@given(wholes())
def test_every_unit_is_filled_at_work_or_left(whole):
    total, plan, placed = whole
    seen = standing(total, 0, plan, placed)
    assert seen.filled + seen.at_work + seen.left == total
    assert seen.unplaced == sum(plan[len(placed) :])
    assert seen.missing == sum(one.quantity - one.filled for one in placed if one.over)
    assert seen.surplus == 0
    assert seen.alive == any(not one.over for one in placed)


@given(wholes(), st.data())
def test_resumed_however_often_it_never_takes_more_than_the_whole(whole, data):
    total, plan, placed = whole
    for _ in range(3):
        seen = standing(total, 0, plan, placed)
        more = split(seen.left, 1, 7) if seen.left else []
        plan = [*plan[: len(placed)], *more]
        again = standing(total, 0, plan, placed)
        assert (again.missing, again.unplaced) == (0, again.left)
        count = data.draw(st.integers(0, len(more)))
        placed = [*placed, *(Piece(size, size // 2, over=True) for size in more[:count])]
        assert sum(one.takes for one in placed) <= total


@given(wholes(), st.data())
def test_what_is_given_up_is_left_to_nobody(whole, data):
    total, plan, placed = whole
    left = standing(total, 0, plan, placed).left
    dropped = data.draw(st.integers(0, left))
    assert standing(total, dropped, plan, placed).left == left - dropped


def test_a_slice_that_shows_up_beside_its_replacement_is_a_surplus():
    seen = standing(10, 0, [5, 5, 5], [Piece(5, 5, True), Piece(5, 0, False), Piece(5, 5, True)])
    assert (seen.surplus, seen.left) == (5, 0)


def test_what_was_given_up_and_shows_up_after_all_is_a_surplus():
    assert standing(10, 5, [5, 5], [Piece(5, 0, False), Piece(5, 5, True)]).surplus == 5


def test_overfilled_counts_as_what_it_filled():
    assert standing(10, 0, [5, 5], [Piece(5, 7, False)]).left == 3
