"""A real PostgreSQL of our own: a unix socket in a private directory, no TCP, no password."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGQUIT, Signals
from urllib.parse import quote

from supervisor.account import Account, private_directory
from supervisor.errors import HouseError
from supervisor.spawn import identity
from supervisor.store import bare_environment

NAME = "tradingops"  # the role and the database
PORT = "5432"  # names the socket file; nothing listens on TCP
INITDB = ["--auth=trust", "--encoding=UTF8", "--no-locale", f"--username={NAME}"]
COMMON = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "log_line_prefix": "%m [%p] ",
}
OWN_PROCESS = Path("/proc/self")
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Postgres:
    home: Path
    sockets: Path
    programs: Path
    account: Account | None
    durable: bool = True
    death: Signals = SIGQUIT  # a crash, which it recovers from, but it takes its children along

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def url(self) -> str:
        """In the form that gives Django's HOST the directory: many read only HOST."""
        return f"postgres://{NAME}@:{PORT}/{quote(str(self.sockets))}/{NAME}"

    @property
    def argv(self) -> list[str]:
        options = COMMON | {"unix_socket_directories": str(self.sockets)}
        if not self.durable:
            options |= THROWAWAY
        given = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *given]

    def prepare(self) -> None:
        """All that has to be true before the server may start, the first time or the hundredth."""
        private_directory(self.home, self.account)
        private_directory(self.sockets, self.account)
        if not self.data.exists():
            self._create()
        self._clear_the_way()

    def ready(self) -> bool:
        return self._run("pg_isready", "-q", "-h", str(self.sockets), "-p", PORT).returncode == 0

    def _create(self) -> None:
        """In a directory of another name: what is interrupted half-way is never used."""
        half = self.home / "half"
        shutil.rmtree(half, ignore_errors=True)
        sync = [] if self.durable else ["--no-sync"]
        made = self._run("initdb", "-D", str(half), *INITDB, *sync)
        if made.returncode == 0:
            made = self._run(
                "postgres",
                "--single",
                "-D",
                str(half),
                "postgres",
                stdin=f"CREATE DATABASE {NAME}\n",
            )
        if made.returncode != 0:
            raise HouseError(
                f"PostgreSQL could not make its data directory:\n{made.stderr.strip()}"
            )
        half.rename(self.data)

    def _clear_the_way(self) -> None:
        """End a server that outlived its supervisor; drop a pid file that names a stranger."""
        lock = self.data / "postmaster.pid"
        if not lock.exists() or not OWN_PROCESS.exists():
            return  # without /proc the server itself decides what the file means
        pid = int(lock.read_text().split("\n", 1)[0] or 0)
        for signal in (SIGQUIT, SIGKILL):
            if self._is_ours(pid):
                os.kill(pid, signal)
            self._wait_for_the_end_of(pid)
        lock.unlink(missing_ok=True)

    def _wait_for_the_end_of(self, pid: int, patience: float = 3.0) -> None:
        until = time.monotonic() + patience
        while self._is_ours(pid) and time.monotonic() < until:
            time.sleep(0.02)

    def _is_ours(self, pid: int) -> bool:
        """A server works in its data directory. One that is dead already has none."""
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self.data.resolve()
        except OSError:
            return False

    def _run(self, program: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.programs / program), *words],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
            env=bare_environment(),
            **identity(self.account),
        )
