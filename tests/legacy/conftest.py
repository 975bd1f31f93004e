"""Two accounts for a leader and a follower, and the command as a person runs it."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.legacy.past import Past

HOLDER = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.executescript(sys.argv[2])
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def held(tmp_path):
    """Another program that has the database open and does what it is told there."""
    programs = []

    def hold(path: Path, script: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, str(path), script]
        program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        programs.append(program)
        assert program.stdout is not None
        assert program.stdout.readline() == "held\n"
        return program

    yield hold
    for program in programs:
        with program:
            program.kill()


@pytest.fixture
def accounts(transactional_db, reliance) -> dict[str, Any]:
    from apps.brokers.models import BrokerAccount

    return {
        name: BrokerAccount.objects.create(
            name=name,
            broker="dhan",
            client_id=f"10000000{number}",
            rest_url="http://127.0.0.1:9/v2",
            feed_url="ws://127.0.0.1:9/feed",
        )
        for number, name in enumerate(("first", "second"), 1)
    }


@pytest.fixture
def migrate(accounts) -> Callable[..., str]:
    """Run the command; what it prints. The leader is ``first``, the follower ``second``."""

    def run(path: Path | str, *words: str) -> str:
        out = io.StringIO()
        mapped = (
            () if "--rollback" in words else ("--map", "leader=first", "--map", "follower=second")
        )
        call_command("migrate_bo_schema", str(path), *mapped, *words, stdout=out)
        return out.getvalue()

    return run


@pytest.fixture
def past(tmp_path) -> Past:
    return Past(tmp_path / "copy.sqlite3")
