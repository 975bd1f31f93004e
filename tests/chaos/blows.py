"""What is done to the house: parts killed or frozen, stores restarted, tables locked."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from django.db import Error, connection, transaction

from tests.chaos.opening import Desk
from tests.chaos.plan import Blow

PARTS = {
    "worker": ("celery", "worker@%h"),
    "exits": ("celery", "exits@%h"),
    "house": ("celery", "house@%h"),
    "beat": ("celery", " beat "),
    "guard": ("manage.py", "guard"),
    "web": ("daphne",),
    "streams": ("manage.py", "stream_orders"),
    "quotes": ("manage.py", "stream_quotes"),
}
STORES = {
    "valkey": (signal.SIGKILL, ("valkey-server",)),
    "postgres-fast": (signal.SIGINT, ("postgres", "-D")),
    "postgres-immediate": (signal.SIGQUIT, ("postgres", "-D")),
}
LOCKS = {
    "account": "SELECT 1 FROM risk_tradingstate WHERE scope = 'chaos-1' FOR UPDATE",
    "orders": "LOCK TABLE orders_order IN SHARE ROW EXCLUSIVE MODE",
}


class Blows:
    """Deals blows, each in a thread of its own, and counts those that struck."""

    def __init__(self, desk: Desk, send_within: float) -> None:
        self.struck: Counter[str] = Counter()
        self._desk = desk
        self._send_within = send_within
        self._threads: list[threading.Thread] = []

    @property
    def kills(self) -> int:
        return self.struck["kill"] + self.struck["restart"]

    @property
    def faults(self) -> int:
        """Besides what the exchange does."""
        return self.struck["freeze"] + self.struck["lock"]

    def deal(self, blow: Blow) -> None:
        thread = threading.Thread(target=self._deal, args=[blow], name=f"{blow.what} {blow.target}")
        self._threads.append(thread)
        thread.start()

    def over(self) -> None:
        """Wait until nothing is frozen or locked any more."""
        for thread in self._threads:
            thread.join()

    def _deal(self, blow: Blow) -> None:
        act: dict[str, Callable[[Blow], bool]] = {
            "kill": self._kill,
            "restart": self._restart,
            "freeze": self._freeze,
            "lock": self._lock,
        }
        if act[blow.what](blow):
            self.struck[blow.what] += 1

    def _kill(self, blow: Blow) -> bool:
        return self._desk.house.kill(*PARTS[blow.target]) > 0

    def _restart(self, blow: Blow) -> bool:
        """The supervisor starts it again."""
        how, words = STORES[blow.target]
        return bool(self._desk.house.signal(how, *words))

    def _freeze(self, blow: Blow) -> bool:
        """For longer than a call may take to leave: whoever wakes must not send it."""
        words = PARTS[blow.target]
        frozen = self._desk.house.signal(signal.SIGSTOP, *words)
        time.sleep(self._send_within + blow.seconds)
        self._desk.house.signal(signal.SIGCONT, *words)
        return bool(frozen)

    def _lock(self, blow: Blow) -> bool:
        """A session of somebody else that keeps what the desk needs."""
        done = False
        with suppress(Error), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(LOCKS[blow.target])
            done = True
            cursor.execute("SELECT pg_sleep(%s)", [blow.seconds])
        connection.close()
        return done
