"""A short storm over a whole house, judged; the long one is ``make chaos``."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.house import ROOT

SHORT = ROOT / "tests" / "chaos" / "short.json"
LINE = re.compile(
    r"asked=60 sendable=\d+ placed=\d+ accepted=(\d+) known=(\d+) kills=(\d+) faults=(\d+) "
    r"doubled=0 lost=0 unproven=0 unknown=0 holds_leaked=0 "
    r"exits=\d+ goals=\d+ crossed=0 breaks=0 external=\d+ unclosed=0 miscounted=0"
)


@pytest.mark.desk
@pytest.mark.xdist_group("house")
def test_a_short_storm_loses_and_doubles_nothing():
    command = [sys.executable, "-m", "tests.chaos", "--orders", "60", "--seed", "7"]
    done = subprocess.run(
        [*command, "--mix", str(SHORT)],
        cwd=ROOT, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    last = done.stdout.strip().splitlines()[-1]
    found = LINE.fullmatch(last)
    assert found, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    accepted, known, kills, faults = map(int, found.groups())
    assert accepted == known
    assert min(kills, faults) > 0
