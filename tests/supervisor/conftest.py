"""A running house of fake parts, watched from outside through /proc."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import environ
import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


class Desk:
    """One run of `fake_desk`, in a checkout of its own."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.port = port
        self.process: subprocess.Popen[str] | None = None

    def start(self, *parts: str, **env: str) -> subprocess.Popen[str]:
        with (self.root / "said").open("a") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.supervisor.fake_desk", str(self.root), *parts],
                cwd=CHECKOUT,
                env=os.environ | {"PORT": str(self.port)} | env,
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
            )
        return self.process

    def open(self, *parts: str, **env: str) -> None:
        self.start(*parts, **env)
        until(lambda: "The desk is open" in self.said() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()
        until(lambda: set(self.noted("started")) >= {part.partition("=")[0] for part in parts})

    def run(self, *parts: str, **env: str) -> int:
        return self.start(*parts, **env).wait(30)

    def leave(self, number: int = signal.SIGINT) -> float:
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        return time.monotonic() - began

    def said(self) -> str:
        return (self.root / "said").read_text()

    def noted(self, name: str) -> list[str]:
        """The parts note in these files that they started, or were asked to stop."""
        path = self.root / name
        return path.read_text().split() if path.exists() else []

    def processes(self) -> dict[int, str]:
        """Everything alive that works in this checkout, whoever its parent is."""
        return {pid: line for pid, line in _alive(self.root) if pid != self._own_pid()}

    def part(self, name: str) -> int:
        return next(pid for pid, line in self.processes().items() if f"'{name}\\n'" in line)

    def _own_pid(self) -> int:
        return self.process.pid if self.process else 0


def address_in(url: str) -> dict[str, object]:
    """As Django's settings read it, in psycopg's words."""
    config = environ.Env.db_url_config(url)
    words = {"dbname": "NAME", "user": "USER", "host": "HOST", "port": "PORT"}
    return {ours: config[theirs] for ours, theirs in words.items()}


def until(true: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def _alive(root: Path) -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            works_in = str((entry / "cwd").readlink())
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            dead = re.search(r"^State:\s+Z", (entry / "status").read_text(), re.MULTILINE)
        except OSError:
            continue
        if works_in.startswith(str(root)) and not dead:
            yield int(entry.name), line


@contextmanager
def _a_desk(root: Path, port: int) -> Iterator[Desk]:
    desk = Desk(root, port)
    try:
        yield desk
    finally:
        if desk.process and desk.process.poll() is None:
            desk.process.kill()
            desk.process.wait()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


@pytest.fixture
def desk(tmp_path: Path, free_port: int) -> Iterator[Desk]:
    with _a_desk(tmp_path, free_port) as one:
        yield one
