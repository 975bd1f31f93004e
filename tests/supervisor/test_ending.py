"""Whatever ends, and however: what should live comes back, what should go is gone."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.supervisor.conftest import until


def test_a_dead_part_comes_back_with_growing_delay(desk):
    desk.open("one=sleep", "two=sleep")
    for times in (2, 3):
        os.kill(desk.part("two"), signal.SIGKILL)
        until(lambda times=times: desk.noted("started").count("two") == times)
    assert "two: killed by SIGKILL; starts again in 0.5 s" in desk.said()
    assert "two: killed by SIGKILL; starts again in 1.0 s" in desk.said()
    assert desk.noted("started").count("one") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_ending_signal_stops_everything_and_counts_as_success(desk, number):
    desk.open("one=sleep", "two=family")
    assert desk.leave(number) < 5
    assert desk.process.returncode == 0
    assert desk.processes() == {}


def test_parts_stop_in_reverse_order_of_their_tiers(desk):
    desk.open("desk=sleep", "feed=sleep")
    desk.leave()
    assert desk.noted("stopped") == ["feed", "desk"]


def test_a_deaf_part_is_killed_when_its_grace_is_over(desk):
    desk.open("deaf=stubborn")
    assert 1 <= desk.leave() < 5
    assert desk.processes() == {}


def test_a_signal_during_the_start_leaves_nothing(desk):
    desk.start("one=sleep", "long=slow", "never=sleep")
    until(lambda: "long" in desk.noted("started"))
    assert desk.leave() < 5
    assert desk.process.returncode == 0
    assert desk.processes() == {}
    assert "never" not in desk.noted("started")


def test_a_second_ctrl_c_does_not_wait_for_the_deaf(desk):
    desk.open("deaf=stubborn", GRACE="8")
    desk.process.send_signal(signal.SIGINT)
    time.sleep(0.8)
    assert desk.leave() < 2
    assert desk.processes() == {}


def test_one_signal_that_arrives_twice_is_no_hurry(desk):
    desk.open("deaf=stubborn")
    desk.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    assert desk.leave(signal.SIGTERM) > 0.5


def test_sigkill_of_the_supervisor_leaves_nothing(desk):
    desk.open("one=sleep", "deaf=stubborn")
    assert len(desk.processes()) == 2
    desk.process.kill()
    desk.process.wait()
    until(lambda: desk.processes() == {}, seconds=3)


def test_the_parts_are_out_of_reach_of_the_terminals_ctrl_c(desk):
    desk.open("one=sleep")
    assert os.getsid(desk.part("one")) != os.getsid(desk.process.pid)
