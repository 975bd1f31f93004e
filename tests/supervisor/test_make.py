"""The commands a person types first."""

from __future__ import annotations

import os
import subprocess

from tests.supervisor.conftest import CHECKOUT


def make(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/usr/bin/env", "make", "--no-print-directory", *words],
        cwd=CHECKOUT,
        env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")} | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_alone_names_every_command():
    told = make().stdout
    for name in ("run", "test", "check", "chaos", "mutants", "reset", "requirements"):
        assert f"make {name} " in told


def test_a_machine_without_python_is_told_what_to_install():
    told = make("run", "PYTHON=")
    assert told.returncode != 0
    assert "apt install python3 python3-venv" in told.stdout


def test_nothing_is_installed_twice():
    assert make("packages").returncode == 0
    assert make("packages").stdout == ""
