"""A real Valkey of our own: it keeps what it accepted, also when it is killed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from supervisor.errors import HouseError
from supervisor.places import SHORT_TOP
from supervisor.programs import valkey_program
from supervisor.store import start_store
from supervisor.valkey import Valkey
from tests.supervisor.conftest import until


@pytest.fixture
def home() -> Iterator[Path]:
    top = Path(tempfile.mkdtemp(prefix="tradingops-", dir=SHORT_TOP))
    yield top
    shutil.rmtree(top)


@contextmanager
def running(valkey: Valkey) -> Iterator[subprocess.Popen[bytes]]:
    with (valkey.home.parent / "log").open("ab") as log:
        server = start_store(valkey, log)
    try:
        until(valkey.ready)
        yield server
    finally:
        server.kill()
        server.wait()


def test_what_it_accepted_survives_sigkill(home):
    valkey = Valkey(home / "valkey", home / "valkey", valkey_program())
    with running(valkey):
        redis.from_url(valkey.url).rpush("exits", "order 7")
    with running(valkey):
        assert redis.from_url(valkey.url).lrange("exits", 0, -1) == [b"order 7"]


def test_it_never_drops_a_message_to_make_room_and_has_no_tcp_port(home):
    valkey = Valkey(home / "valkey", home / "valkey", valkey_program())
    with running(valkey):
        shown = redis.from_url(valkey.url).config_get("maxmemory-policy", "port", "appendfsync")
    assert shown == {"maxmemory-policy": "noeviction", "port": "0", "appendfsync": "always"}


def test_a_throwaway_one_does_not_wait_for_the_disk(home):
    valkey = Valkey(home / "valkey", home / "valkey", valkey_program(), durable=False)
    with running(valkey):
        shown = redis.from_url(valkey.url).config_get("appendonly", "appendfsync")
    assert shown == {"appendonly": "yes", "appendfsync": "no"}


def test_without_any_valkey_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("supervisor.programs._package", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HouseError, match="apt install redis-server"):
        valkey_program()
