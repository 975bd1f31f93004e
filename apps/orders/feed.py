"""Listen to one account's order updates, for ever, and apply what they say."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from django.db import InterfaceError, OperationalError, close_old_connections

from apps.alerts.raising import STEADY, raise_alert, settle_alert, sign_of_life
from apps.brokers import reporting, sessions
from apps.brokers.models import BrokerAccount
from apps.brokers.port import OrderReport
from apps.orders import queue
from apps.orders.ingest import FEED, apply_report

log = structlog.get_logger(__name__)
TRIES = 5


def listen(account: BrokerAccount, should_stop: Callable[[], bool]) -> None:
    """Run the account's stream until ``should_stop``.

    A report that cannot be stored within a few tries is left to reconciliation, which reads the
    same fact from the book; the account is marked for it as soon as the database answers.
    """
    listener = _Listener(account)
    reporting.stream_of(account).run(
        on_report=listener.report,
        on_life=listener.alive,
        on_lost=listener.lost,
        on_trouble=listener.trouble,
        on_connected=listener.connected,
        should_stop=should_stop,
    )


class _Listener:
    def __init__(self, account: BrokerAccount) -> None:
        self.account = account
        self.name = f"feed:{account.name}"
        self.last_written = 0.0

    def report(self, report: OrderReport) -> None:
        for attempt in range(TRIES):
            try:
                if apply_report(self.account, report, FEED) is None:
                    self.connected()  # a stranger: only the books tell all of it
                return
            except (OperationalError, InterfaceError) as error:
                log.warning("report waits for the database", error=type(error).__name__)
                close_old_connections()
                time.sleep(0.2 * 2**attempt)
        self._mark_for_reconciliation()

    def alive(self) -> None:
        """Write at most one sign of life a second; once it is steady the loss is history."""
        if time.monotonic() - self.last_written < 1.0:
            return
        self.last_written = time.monotonic()
        self._quietly(lambda: sign_of_life(self.name))
        self._quietly(lambda: settle_alert(self.name, "it is heard again", STEADY))

    def lost(self, text: str) -> None:
        """Told to people, unless a refused token explains it, which they know already."""
        self._quietly(lambda: self._tell_lost(text))

    def _tell_lost(self, text: str) -> None:
        if not sessions.is_refused(self.account):
            raise_alert(self.name, f"feed of {self.account.name}: {text}")

    def trouble(self, text: str) -> None:
        """What came and means nothing to us stays told until somebody has looked."""
        said = f"feed of {self.account.name}: {text}"
        self._quietly(lambda: raise_alert(f"{self.name}:odd", said))

    def connected(self) -> None:
        """What we do not know, or missed while nobody listened, is in the books: read them."""
        self._mark_for_reconciliation()
        queue.ring_reconcile(self.account.pk)

    def _mark_for_reconciliation(self) -> None:
        mine = BrokerAccount.objects.filter(pk=self.account.pk)
        self._quietly(lambda: mine.update(reconcile_wanted=True))

    def _quietly(self, write: Callable[[], object]) -> None:
        """The stream outlives the database: a sign that cannot be written is simply missing."""
        try:
            write()
        except (OperationalError, InterfaceError) as error:
            log.warning("not written", error=type(error).__name__)
            close_old_connections()
