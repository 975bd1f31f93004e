"""Keep one process per account running: started when it is wanted, again when it dies."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from types import FrameType

import structlog
from django.conf import settings
from django.db import Error, close_old_connections

log = structlog.get_logger(__name__)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_STOP_WITHIN = 3.0  # seconds


class Stopping:
    """True once the process was asked to stop."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)

    def __call__(self) -> bool:
        return self._asked

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._asked = True


def keep_one_each(
    command: str, names: Callable[[], Collection[str]], should_stop: Callable[[], bool]
) -> None:
    """Run ``manage.py command NAME`` for every name there is now, until asked to stop."""
    children: dict[str, subprocess.Popen[bytes]] = {}
    while not should_stop():
        wanted = _now(names, list(children))
        for name in [name for name in children if name not in wanted]:
            children.pop(name).terminate()
        for name in wanted:
            child = children.get(name)
            if child is None or child.poll() is not None:
                children[name] = _start(command, name)
        time.sleep(1)
    _stop_all(list(children.values()))


def _now(names: Callable[[], Collection[str]], running: Collection[str]) -> Collection[str]:
    """The names; while the database is away, those that run now."""
    try:
        return names()
    except Error:
        log.warning("accounts not read; the listeners stay as they are")
        close_old_connections()
        return running


def _start(command: str, name: str) -> subprocess.Popen[bytes]:
    log.info("listening", command=command, account=name)
    words = [sys.executable, str(settings.BASE_DIR / "manage.py"), command, name]
    return subprocess.Popen(words, preexec_fn=_die_with_parent)  # noqa: S603


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
    if os.getppid() == 1:
        os._exit(1)


def _stop_all(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    deadline = time.monotonic() + _STOP_WITHIN
    for child in children:
        try:
            child.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            child.kill()
