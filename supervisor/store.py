"""What PostgreSQL and Valkey have in common for whoever starts them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from signal import Signals
from typing import IO, Protocol

from supervisor.account import Account
from supervisor.spawn import spawn


class Store(Protocol):
    @property
    def home(self) -> Path: ...
    @property
    def account(self) -> Account | None: ...
    @property
    def argv(self) -> list[str]: ...
    @property
    def death(self) -> Signals: ...  # ends it at once, and is sent to it when we die
    def prepare(self) -> None: ...
    def ready(self) -> bool: ...


def bare_environment() -> dict[str, str]:
    """None of our secrets, and nothing of the shell that a server might take for a setting."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def start_store(store: Store, log: IO[bytes]) -> subprocess.Popen[bytes]:
    store.prepare()
    return spawn(
        store.argv,
        env=bare_environment(),
        cwd=store.home,
        stdout=log,
        account=store.account,
        death=store.death,
    )
