"""The whole house as real processes, in a directory of its own: for tests and measurements."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from supervisor.keys import read_env
from supervisor.throwaway import MARK

ROOT = Path(__file__).resolve().parents[1]
OURS = (
    "DATABASE_URL",
    "DATABASE_POOL",
    "REDIS_URL",
    "SECRET_KEY",
    "CREDENTIAL_KEYS",
    "SIMEXCHANGE_URL",
    MARK,
)
WIDE = {
    "ORDER_LIMITS": "1:100000,60:1000000",
    "RISK_MAX_ORDER_VALUE": "1000000000",
    "RISK_MAX_ORDER_QUANTITY": "1000000",
    "RISK_MAX_OPEN_ORDERS": "100000",
    "LOG_LEVEL": "INFO",
}
"""For a house whose accounts must not be held up by their limits."""
TESTS_ONLY = (
    "SETTINGS_ARE_FOR_TESTS",
    "DJANGO_SETTINGS_MODULE",
    "STATIC_ROOT",
    "RISK_CHECK_MARGIN",
    "RISK_PRICE_BAND_PERCENT",
)


@dataclass
class House:
    """A running desk of its own."""

    url: str
    var: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes]

    def manage(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def place(self, *words: str, account: str = "paper-1") -> Any:
        done = self.manage("place_order", account, "--instrument", "RELIANCE", "--json", *words)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def order(self, correlation_id: str) -> Any:
        code = (
            "import json; from apps.orders.management.asking import find_order, shown;"
            f"print(json.dumps(shown(find_order('{correlation_id}'))))"
        )
        return json.loads(self.manage("shell", "--no-imports", "-c", code).stdout)

    def until(self, correlation_id: str, statuses: set[str], seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        order = self.order(correlation_id)
        while order["status"] not in statuses and time.monotonic() < deadline:
            time.sleep(0.5)
            order = self.order(correlation_id)
        assert order["status"] in statuses, order
        return order

    def exchange(self, path: str, **body: Any) -> Any:
        base = f"{self.env['SIMEXCHANGE_URL']}/_sim/{path}"
        reply = requests.post(base, json=body, timeout=5) if body else requests.get(base, timeout=5)
        return reply.json()

    def accepted(self, correlation_id: str) -> list[Any]:
        return self.exchange("report")["accepted"].get(correlation_id, [])

    def health(self) -> tuple[int, Any]:
        reply = requests.get(f"{self.url}/healthz", timeout=5)
        return reply.status_code, reply.json()

    def until_healthy(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        status, body = self._health_if_up()
        while status != 200 and time.monotonic() < deadline:
            time.sleep(0.3)
            status, body = self._health_if_up()
        assert status == 200, body

    def _health_if_up(self) -> tuple[int, Any]:
        """A web process that is just being started again refuses connections."""
        try:
            return self.health()
        except requests.ConnectionError as error:
            return 0, str(error)

    def kill(self, *words: str) -> int:
        """SIGKILL the processes of this house whose command line has all the words."""
        return len(self.signal(signal.SIGKILL, *words))

    def signal(self, what: signal.Signals, *words: str) -> list[int]:
        """Send a signal to the processes of this house whose command line has all the words."""
        found = [pid for pid in processes_of(self) if all(w in command_of(pid) for w in words)]
        reached = []
        for pid in found:
            with suppress(ProcessLookupError):  # it may die while we look
                os.kill(pid, what)
                reached.append(pid)
        return reached


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def processes_of(house: House) -> list[int]:
    """Everything below the supervisor."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found, frontier = [], [house.process.pid]
    while frontier:
        parent = frontier.pop()
        children = [pid for pid, its in parents.items() if its == parent]
        found += children
        frontier += children
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def open_house(**chosen: str) -> Iterator[House]:
    """Not below pytest's own directory, which every other run of pytest closes to others."""
    var = Path(tempfile.mkdtemp(prefix="house-"))
    var.chmod(0o755)
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if name not in OURS + TESTS_ONLY}
    env = clean | {"PORT": str(port), "DEMO": "0"} | chosen
    log = (var / "supervisor.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor", "run", "--var", str(var)],
        cwd=ROOT,
        env=env,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_for_welcome(process, var / "supervisor.log")
        url = f"http://127.0.0.1:{port}"
        yield House(url, var, env | read_env(var / "run.env"), process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        log.close()
        shutil.rmtree(var, ignore_errors=True)


def wait_for_welcome(process: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while "The desk is open" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
