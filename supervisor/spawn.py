"""Start a process that never outlives us and that the terminal's Ctrl-C does not reach."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, Signals
from typing import IO, TypedDict

from supervisor.account import Account

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

Stream = IO[bytes] | int | None


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdout: Stream,
    stderr: Stream = subprocess.STDOUT,
    account: Account | None = None,
    death: Signals = SIGKILL,
) -> subprocess.Popen[bytes]:
    """Call it from the main thread: the kernel sends `death` when the *thread* that forked ends."""
    return subprocess.Popen(
        argv,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        umask=0o077,
        preexec_fn=_die_with(os.getpid(), death),
        **identity(account),
    )


class Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def identity(account: Account | None) -> Identity:
    """The arguments that make a child another account; set before preexec, as setuid clears it."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def end_with_parent(death: Signals) -> None:
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, int(death))


def _die_with(parent: int, death: Signals) -> Callable[[], None]:
    def before_exec() -> None:
        end_with_parent(death)
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(1)

    return before_exec
