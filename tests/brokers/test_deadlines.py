"""What outlives its time is cut off, in time; what is over is left alone."""

from __future__ import annotations

import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.brokers.deadlines import Deadlines


class Work:
    def __init__(self, deadlines, seconds):
        self.cut = threading.Event()
        self.began, self.ended, self.seconds = time.monotonic(), 0.0, seconds
        self.watched = deadlines.watch(seconds, self.end)

    def end(self):
        self.ended = time.monotonic()
        self.cut.set()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=12))
def test_exactly_what_is_not_over_is_cut_and_none_too_early(plans):
    deadlines = Deadlines()
    works = [(Work(deadlines, tenths / 100), over) for tenths, over in plans if not over]
    quick = [Work(deadlines, 0.5) for _, over in plans if over]
    for work in quick:
        work.watched.over = True
    for work, _ in works:
        assert work.cut.wait(3)
        assert work.ended - work.began >= work.seconds
    assert not any(work.cut.is_set() for work in quick)


def test_a_shorter_time_than_the_one_slept_for_is_kept():
    deadlines = Deadlines()
    long = Work(deadlines, 30)
    short = Work(deadlines, 0.05)
    assert short.cut.wait(3)
    assert not long.cut.is_set()


def test_what_was_over_when_its_time_came_is_not_cut():
    deadlines = Deadlines()
    done, later = Work(deadlines, 0.05), Work(deadlines, 0.1)
    done.watched.over = True
    assert later.cut.wait(3)
    assert not done.cut.is_set()


def test_a_cut_that_breaks_does_not_end_the_watch():
    deadlines = Deadlines()

    def broken():
        raise RuntimeError("no socket")

    deadlines.watch(0.01, broken)
    assert Work(deadlines, 0.05).cut.wait(3)
