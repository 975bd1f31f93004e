"""PostgreSQL refuses to run as root: root lends it the account `nobody`."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from supervisor.errors import HouseError


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int

    def reaches(self, directory: Path) -> bool:
        """Can it enter here? Every parent counts, so let the kernel answer."""
        return self._test("-x", directory)

    def runs(self, program: Path) -> bool:
        return self._test("-x", program) and self._test("-r", program)

    def _test(self, flag: str, path: Path) -> bool:
        asked = subprocess.run(
            ["test", flag, str(path)],
            cwd="/",
            check=False,
            user=self.uid,
            group=self.gid,
            extra_groups=[],
        )
        return asked.returncode == 0


def postgres_account() -> Account | None:
    """None when we are an ordinary person, whose own account will do."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise HouseError(
            "PostgreSQL refuses to run as root and this machine has no account `nobody`:"
            " run as an ordinary user."
        ) from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def private_directory(path: Path, account: Account | None) -> Path:
    """A 0700 directory that belongs to the account, and to nobody who was there before us."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = os.geteuid() if account is None else account.uid
    found = path.lstat()
    if path.is_symlink() or found.st_uid not in {owner, os.geteuid()}:
        raise HouseError(f"{path} belongs to somebody else: remove it and try again.")
    if account is not None:
        os.chown(path, account.uid, account.gid)
    path.chmod(0o700)
    return path
