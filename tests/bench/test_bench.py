"""The measuring itself: figures, loads, and one quick run of the whole."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from tests.bench.figures import Run, latency_table, percentile, write
from tests.bench.pacing import at_a_pace, several_at_once
from tests.bench.watchers import Page
from tests.house import ROOT


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.95, 4), (0.0, 1), (1.0, 4)])
def test_percentiles_are_samples(share, value):
    assert percentile([4, 1, 3, 2], share) == value


def test_a_run_is_compared_with_the_bare_sdk():
    sdk, order = Run("sdk", [2.0]), Run("order", [10.0, 12.0], seconds=4.0)
    figures = order.figures(sdk)
    assert (figures["ratio_to_sdk"], figures["over_sdk_ms"], figures["per_s"]) == (5.0, 8.0, 0.5)
    assert "ratio_to_sdk" not in sdk.figures(sdk)
    assert "order" in latency_table([figures])


def test_the_file_is_a_list_of_runs(tmp_path):
    write(tmp_path / "var" / "bench.json", [Run("sdk", [1.0]).figures(None)])
    (run,) = json.loads((tmp_path / "var" / "bench.json").read_text())
    assert {"name", "p50_ms", "p95_ms", "p99_ms", "at"} <= set(run)


@pytest.mark.parametrize("clients", [1, 3])
def test_every_number_is_asked_once_and_waited_for(clients):
    asked, waited, lock = [], [], threading.Lock()

    def note(where):
        def noted(number):
            with lock:
                where.append(number)

        return noted

    several_at_once(range(1, 11), clients, note(asked), note(waited))
    assert sorted(asked) == sorted(waited) == list(range(1, 11))


def test_a_pace_is_kept():
    load = at_a_pace(range(4), 50, lambda _: None, lambda _: None)
    assert load.seconds >= 3 / 50
    assert len(load.asked) == 4


def test_a_page_that_misses_a_change_asks():
    page = Page()
    page.take({"type": "snapshot", "seq": {"1": 5}})
    assert not page.take({"type": "row", "account": 1, "after": 5, "seq": 6})
    assert page.take({"type": "row", "account": 1, "after": 8, "seq": 9})
    assert (page.seen, page.gaps) == ({1: 6}, 1)


@pytest.mark.desk
@pytest.mark.xdist_group("house")
def test_a_quick_run_writes_the_file(tmp_path):
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--only", "order,books"]
    command += ["--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    names = [run["name"] for run in json.loads(out.read_text())]
    assert {"sdk", "floor", "order_paced", "order_c32", "books", "memory"} <= set(names)


@pytest.mark.desk
@pytest.mark.xdist_group("house")
def test_exits_under_load_all_leave_and_the_exchange_answers_no_429(tmp_path):
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--only", "exit_under_load"]
    done = subprocess.run(
        [*command, "--out", str(out)], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = json.loads(out.read_text())
    assert (run["name"], run["samples"]) == ("exit_under_load", 10)
    assert [run[name] for name in ("answered_429", "exits_not_left", "doubled")] == [0, 0, 0]
    assert run["entries_asked"] > run["samples"]
