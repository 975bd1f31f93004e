"""A real Valkey of our own on a unix socket. The house waits for the disk; a test does not."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, Signals

from supervisor.account import Account, private_directory

DATABASES = 64  # the parallel workers of a test run have one each
DURABLE = ["--appendonly", "yes", "--appendfsync", "always"]
THROWAWAY = ["--appendonly", "yes", "--appendfsync", "no"]  # as durable to the desk's checks


@dataclass(frozen=True)
class Valkey:
    home: Path
    sockets: Path
    program: str
    durable: bool = True
    account: Account | None = None
    death: Signals = SIGKILL

    @property
    def socket(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    @property
    def argv(self) -> list[str]:
        return [
            *(self.program, "--port", "0"),
            *("--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self.home), "--databases", str(DATABASES), "--save", ""),
            *("--maxmemory-policy", "noeviction"),
            *(DURABLE if self.durable else THROWAWAY),
        ]

    def prepare(self) -> None:
        private_directory(self.home, None)
        private_directory(self.sockets, None)

    def ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(1)
            try:
                line.connect(str(self.socket))
                line.sendall(b"PING\r\n")
                return line.recv(16).startswith(b"+PONG")
            except OSError:
                return False
