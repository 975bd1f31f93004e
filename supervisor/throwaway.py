"""PostgreSQL and Valkey for one test run or one check: nothing is kept, nothing is left."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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
PREFIX = "tradingops-test-"
PATIENCE = 20.0  # seconds


class Throwaway:
    """Both servers, from start() to stop(); `env` leads to them."""

    def __init__(self) -> None:
        self.env: dict[str, str] = {}
        self._undo = ExitStack()

    def start(self) -> None:
        with ExitStack() as undo:
            _sweep()
            top = undo.enter_context(_directory())
            postgres, valkey = _stores(top)
            for store in (valkey, postgres):
                _start(store, undo)
            _wait_for((valkey, postgres))
            self._undo = undo.pop_all()
        urls = {"DATABASE_URL": postgres.url, "REDIS_URL": valkey.url}
        self.env = {**new_secrets(), **urls, "DEBUG": "False", MARK: str(top)}

    def stop(self) -> None:
        self._undo.close()


@contextmanager
def _directory() -> Iterator[Path]:
    """Locked for as long as we live, which is how another run knows that it is in use."""
    top = Path(tempfile.mkdtemp(prefix=PREFIX, dir=SHORT_TOP))
    try:
        top.chmod(0o711)  # PostgreSQL, as nobody, passes through
        with (top / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield top
    finally:
        shutil.rmtree(top, ignore_errors=True)


def _sweep() -> None:
    """Remove what runs left that were killed."""
    for lock in SHORT_TOP.glob(f"{PREFIX}*/lock"):
        try:
            with lock.open() as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent)
        except OSError:  # in use, or somebody else's, or another run sweeps as well
            continue


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
