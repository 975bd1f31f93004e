"""One part as a process: its log, its end, and when it may start again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from supervisor.part import Part
from supervisor.spawn import spawn
from supervisor.store import start_store

FIRST_DELAY, LONGEST_DELAY = 0.5, 10.0  # seconds before a dead part starts again
HEALTHY_AFTER = 30.0  # seconds of life that make its earlier deaths forgotten


class Child:
    def __init__(self, part: Part, env: Mapping[str, str], cwd: Path, log: Path) -> None:
        self.part = part
        self.due: float | None = None  # when it may start again
        self._env = env
        self._cwd = cwd
        self.log = log / f"{part.name}.log"
        self._shown = tempfile.TemporaryFile() if part.shown else None  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None
        self._born = 0.0
        self._delay = FIRST_DELAY
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))

    def start(self) -> None:
        self.due = None
        self._born = time.monotonic()
        with open(self.log, "ab", opener=_private) as log:
            self._process = self._spawn(log)

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        if self.part.store is not None:
            return start_store(self.part.store, log)
        shown = self._shown
        return spawn(self.part.argv, env=self._env, cwd=self._cwd, stdout=shown or log, stderr=log)

    @property
    def code(self) -> int | None:
        """None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def age(self) -> float:
        return time.monotonic() - self._born

    def ready(self) -> bool:
        return self.part.ready is None or self.part.ready()

    def postpone(self) -> float:
        """Set the time of the next start: soon, then later and later."""
        if self.age > HEALTHY_AFTER:
            self._delay = FIRST_DELAY
        delay, self._delay = self._delay, min(self._delay * 2, LONGEST_DELAY)
        self.due = time.monotonic() + delay
        return delay

    def ask_to_stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(self.part.stop)

    def end(self) -> None:
        """Whatever is left of it and of its own children, at once."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def ending(self) -> str:
        code = self.code or 0
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def shown_text(self) -> str:
        if self._shown is None:
            return ""
        self._shown.seek(0)
        return self._shown.read().decode(errors="replace").strip()

    def last_lines(self, count: int = 20) -> str:
        written = self.log.read_text(errors="replace").splitlines()
        return "\n".join([*self.shown_text().splitlines(), *written][-count:])


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
