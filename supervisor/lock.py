"""One house per checkout."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from supervisor.errors import HouseError
from supervisor.places import Places


@contextmanager
def only_one(places: Places) -> Iterator[None]:
    """The kernel gives the lock back however we end; no child inherits it."""
    with open(places.var / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise HouseError(
                f"The house of this checkout runs already (process {lock.read().strip() or '?'}):"
                " stop it there with Ctrl-C first.",
                code=2,
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
