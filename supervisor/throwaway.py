"""PostgreSQL and Valkey for one test run or one check: nothing is kept, nothing is left."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from supervisor.account import postgres_account
from supervisor.errors import HouseError
from supervisor.keys import new_secrets
from supervisor.places import SHORT_TOP
from supervisor.postgres import Postgres
from supervisor.programs import postgres_programs, valkey_program
from supervisor.store import Store, start_store
from supervisor.valkey import Valkey

MARK = "TRADINGOPS_THROWAWAY"  # the servers in the environment may be filled and emptied
PATIENCE = 20.0  # seconds


class Throwaway:
    """Both servers, from start() to stop(); `env` leads to them."""

    def __init__(self) -> None:
        self.env: dict[str, str] = {}
        self._undo = ExitStack()

    def start(self) -> None:
        with ExitStack() as undo:
            top = Path(tempfile.mkdtemp(prefix="tradingops-", dir=SHORT_TOP))
            undo.callback(shutil.rmtree, top, ignore_errors=True)
            top.chmod(0o711)
            postgres, valkey = _stores(top)
            for store in (valkey, postgres):
                _start(store, undo)
            _wait_for((valkey, postgres))
            self._undo = undo.pop_all()
        urls = {"DATABASE_URL": postgres.url, "REDIS_URL": valkey.url}
        self.env = {**new_secrets(), **urls, "DEBUG": "False", MARK: str(top)}

    def stop(self) -> None:
        self._undo.close()


def _stores(top: Path) -> tuple[Postgres, Valkey]:
    account = postgres_account()
    programs = postgres_programs(account, top / "programs")
    home = top / "postgres"
    return (
        Postgres(home, home / "socket", programs, account, durable=False),
        Valkey(top / "valkey", top / "valkey", valkey_program(), durable=False),
    )


def _start(store: Store, undo: ExitStack) -> None:
    with _log_of(store).open("wb") as log:
        server = start_store(store, log)
    undo.callback(_end, server, store)


def _end(server: subprocess.Popen[bytes], store: Store) -> None:
    server.send_signal(store.death)
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _wait_for(stores: Sequence[Store]) -> None:
    until = time.monotonic() + PATIENCE
    for store in stores:
        while not store.ready():
            if time.monotonic() > until:
                log = _log_of(store).read_text(errors="replace")
                raise HouseError(f"{store.home.name} does not answer:\n{log[-2000:]}")
            time.sleep(0.02)


def _log_of(store: Store) -> Path:
    return store.home.with_suffix(".log")
