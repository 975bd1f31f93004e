"""Where this checkout keeps its things: below var/, unless that is out of reach or too long."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from supervisor.account import Account, private_directory

ROOT = Path(__file__).resolve().parent.parent
SOCKET_LIMIT = 90  # bytes; the kernel allows 107 and the servers add a file name
SYSTEM_STATE = Path("/var/lib")  # only root may write here, so nobody can be there before us
SHORT_TOP = Path("/tmp")  # noqa: S108 (TMPDIR may be long; ownership is checked on use)


@dataclass(frozen=True)
class Places:
    root: Path = ROOT
    elsewhere: Path | None = None  # a second house of the same checkout, such as a test's

    @property
    def var(self) -> Path:
        return self.elsewhere or self.root / "var"

    @property
    def log(self) -> Path:
        return self.var / "log"

    @property
    def run_env(self) -> Path:
        return self.var / "run.env"

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(bytes(self.var)).hexdigest()[:12]

    @property
    def outside(self) -> Path:
        """Used only when root runs the house and `nobody` cannot enter var/."""
        return SYSTEM_STATE / f"tradingops-{self.digest}"

    def prepare(self) -> None:
        self.var.mkdir(parents=True, exist_ok=True)
        self.var.chmod(0o711)
        private_directory(self.log, None)

    def postgres_home(self, account: Account | None) -> Path:
        if account is None or account.reaches(self.var):
            return self.var / "postgres"
        (self.var / "postgres.moved").write_text(
            f"The database of this checkout is in {self.outside}:"
            " its own account cannot enter this directory.\n"
        )
        self.outside.mkdir(exist_ok=True)
        self.outside.chmod(0o711)
        return self.outside / "postgres"

    def postgres_sockets(self, account: Account | None) -> Path:
        return _short(self.postgres_home(account) / "socket")

    @property
    def valkey_sockets(self) -> Path:
        return _short(self.var / "valkey")


def _short(wanted: Path) -> Path:
    """The wanted directory, or another one when a socket in it would not be accepted."""
    if len(bytes(wanted)) <= SOCKET_LIMIT and not set(str(wanted)) & set(" ,\"'"):
        return wanted
    name = hashlib.sha256(bytes(wanted)).hexdigest()[:12]
    return SHORT_TOP / f"tradingops-{name}"
