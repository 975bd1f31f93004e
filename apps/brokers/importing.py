"""Import a broker's master file: fetch, read, stage, merge, and one row of history in any case.

The file is fetched and read outside every transaction that locks anything. A file that is not
applied changes nothing and says why, in its row of history and in one alert.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from celery import current_app
from django.conf import settings
from django.db import Error, connection, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.brokers.download import DownloadFailed, download, shown
from apps.brokers.locks import turn_if_free, turn_taken
from apps.brokers.masterfile import BadMaster, Reading, open_master
from apps.brokers.merging import Merged, Refused, merge, renew_statistics, staged
from apps.brokers.models import BrokerAccount, ImportOutcome, InstrumentImport, is_simulated
from apps.brokers.reporting import master_of
from apps.brokers.storable import clean_text

log = structlog.get_logger(__name__)

TURN = "instruments"
MOST_DOUBTFUL = 0.01  # of the rows
FEWEST = 0.5  # of the rows of the last import
MANY = 1000  # new rows after which the planner should count anew
TRY_AGAIN = dt.timedelta(minutes=15)
INDIA = ZoneInfo("Asia/Kolkata")

Tell = Callable[[str], None]


class Busy(Exception):
    """Another import is under way; nothing was done."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be imported, and by whom. ``layout`` empty: whichever file it is."""

    broker: str = "dhan"
    layout: str = ""
    even_if_fewer: bool = False
    actor: str = ""


def import_file(path: Path, wish: Wish, tell: Tell = lambda text: None) -> InstrumentImport:
    """Import a file of this machine; the row says whether it was applied. Raises ``Busy``."""
    with _alone():
        run = _Run(wish, path.name, tell)
        try:
            run.published_at = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
            return run.take(path, whole=False)
        except OSError as error:
            return run.refuse(f"the file cannot be read: {error.strerror or error}")


def import_url(url: str, wish: Wish, tell: Tell = lambda text: None) -> InstrumentImport:
    """Fetch and import a published file; the row says whether it was applied. Raises ``Busy``."""
    with _alone():
        run = _Run(wish, shown(url), tell)
        with tempfile.NamedTemporaryFile(prefix="instruments-") as file:
            try:
                came = download(url, file, within=settings.INSTRUMENTS_WITHIN, tell=tell)
            except DownloadFailed as error:
                return run.refuse(f"not fetched: {error}")
            file.flush()
            run.published_at = came.published_at
            return run.take(Path(file.name), whole=came.whole)


def import_published(wish: Wish, tell: Tell = lambda text: None) -> InstrumentImport:
    """Import the broker's own file, the detailed one unless another is asked for."""
    master = master_of(wish.broker)
    return import_url(master.address(wish.layout or master.layouts[0]), wish, tell)


def ring_import(wish: Wish) -> bool:
    """Let a worker import the broker's own file; False when nobody can hear the bell."""
    words = [wish.broker, wish.even_if_fewer, wish.actor]
    try:
        current_app.send_task("orders.import_now", args=words, queue="housekeeping", retry=False)
    except (OperationalError, OSError) as error:
        log.warning("bell lost", task="orders.import_now", error=type(error).__name__)
        return False
    return True


def under_way() -> bool:
    """Whether an import runs right now."""
    return turn_taken(TURN)


def import_if_due() -> None:
    """Once a day after ``INSTRUMENTS_AT``, for every broker with an enabled account.

    At once when there never was an import; a quarter of an hour after one that was refused.
    """
    brokers = BrokerAccount.objects.filter(enabled=True).values_list("broker", flat=True)
    for broker in sorted(set(brokers)):
        if _is_due(broker):
            import_published(Wish(broker=broker, actor="schedule"))


def _is_due(broker: str) -> bool:
    now = timezone.now().astimezone(INDIA)
    today = now.replace(
        hour=settings.INSTRUMENTS_AT.hour,
        minute=settings.INSTRUMENTS_AT.minute,
        second=0,
        microsecond=0,
    )
    since = today if now >= today else today - dt.timedelta(days=1)
    tries = InstrumentImport.objects.filter(broker=broker)
    if tries.filter(at__gt=now - TRY_AGAIN, actor="schedule").exists():
        return False
    return not tries.filter(outcome=ImportOutcome.APPLIED, at__gte=since).exists()


def instruments_age(broker: str = "dhan") -> dt.timedelta | None:
    """How long ago the master in force was read; None when none ever was."""
    newest = InstrumentImport.objects.filter(broker=broker, outcome=ImportOutcome.APPLIED)
    at = newest.order_by("-at").values_list("at", flat=True).first()
    return None if at is None else timezone.now() - at


@contextmanager
def _alone() -> Iterator[None]:
    """The only import in the house."""
    with turn_if_free(TURN) as free:
        if not free:
            raise Busy("another import is under way")
        yield


class _Run:
    """One import on its way to its row of history."""

    def __init__(self, wish: Wish, source: str, tell: Tell) -> None:
        self._wish = wish
        self._source = source
        self._tell = tell
        self._reading: Reading | None = None
        self._at = timezone.now()
        self._began = time.monotonic()
        self.published_at: dt.datetime | None = None

    def take(self, path: Path, *, whole: bool) -> InstrumentImport:
        """Read and apply the file, or write down why not."""
        try:
            with open_master(path) as file:
                master = master_of(self._wish.broker)
                self._reading = Reading(file, master, whole=whole, tell=self._tell)
                with staged(self._reading):
                    self._judge(self._reading)
                    row = self._apply(self._reading)
        except (BadMaster, Refused) as error:
            return self.refuse(str(error))
        except Error as error:
            log.exception("the import lost the database")
            connection.close_if_unusable_or_obsolete()
            return self.refuse(f"the database did not take it ({type(error).__name__})")
        if row.added + row.reused > MANY:
            renew_statistics()
        return row

    def _judge(self, reading: Reading) -> None:
        self._keep_apart()
        if self._wish.layout not in {"", reading.layout}:
            text = f"this is the {reading.layout} file, not the {self._wish.layout} one"
            raise Refused(text)
        if reading.doubtful > reading.rows * MOST_DOUBTFUL:
            raise Refused(
                f"{reading.doubtful:,} of {reading.rows:,} rows are not understood, and "
                f"{MOST_DOUBTFUL:.0%} may be: {'; '.join(reading.doubts[:3])}"
            )
        last = InstrumentImport.objects.filter(
            broker=self._wish.broker, outcome=ImportOutcome.APPLIED
        ).first()
        if last and reading.rows < last.rows * FEWEST and not self._wish.even_if_fewer:
            raise Refused(
                f"{reading.rows:,} rows, where the last import had {last.rows:,}: the file is cut "
                "short. If it is right all the same, import it once with --even-if-fewer"
            )

    def _keep_apart(self) -> None:
        """What a live account trades by is never overwritten by what a simulation made up."""
        accounts = BrokerAccount.objects.filter(broker=self._wish.broker, enabled=True)
        live = [account.name for account in accounts if account.environment == "live"]
        if live and is_simulated(self._source):
            raise Refused(
                f"this is a simulated exchange's file, and {', '.join(live)} trades at the real "
                "one: set DHAN_INSTRUMENTS_URL to the broker's file, or disable the account"
            )

    def _apply(self, reading: Reading) -> InstrumentImport:
        self._tell(f"{reading.rows:,} rows read; comparing")
        today = timezone.localdate(timezone=INDIA)
        written = self.published_at or self._at
        with transaction.atomic(durable=True):
            merged = merge(
                today,
                timezone.localdate(written, INDIA),
                self._at,
                even_if_fewer=self._wish.even_if_fewer,
            )
            row = self._row(ImportOutcome.APPLIED, "", merged)
            settle_alert(f"instruments:refused:{self._wish.broker}", "a file was imported since")
            self._alert(reading, merged)
        log.info("instruments imported", source=self._source, rows=row.rows, seconds=row.seconds)
        return row

    def _alert(self, reading: Reading, merged: Merged) -> None:
        if reading.doubtful:
            raise_alert(
                f"instruments:doubtful:{self._wish.broker}",
                f"{reading.doubtful:,} of {reading.rows:,} rows of {self._source} were skipped, "
                f"because they are not understood: {'; '.join(reading.doubts[:5])}",
            )
        if merged.swapped:
            raise_alert(
                f"instruments:swapped:{self._wish.broker}",
                "the broker's ids of living contracts name others now; the old rows are retired "
                f"and cannot be traded. Look at orders and positions in: "
                f"{'; '.join(merged.swapped)}",
                Severity.CRITICAL,
            )

    def refuse(self, why: str) -> InstrumentImport:
        """Write down that nothing changed, and why."""
        with transaction.atomic(durable=True):
            row = self._row(ImportOutcome.REFUSED, clean_text(why), Merged(0, 0, 0, 0, 0))
            raise_alert(
                f"instruments:refused:{self._wish.broker}",
                f"{self._source} was not imported, the instruments stay as they are: {row.why}",
            )
        return row

    def _row(self, outcome: ImportOutcome, why: str, merged: Merged) -> InstrumentImport:
        reading = self._reading
        return InstrumentImport.objects.create(
            at=self._at,
            broker=self._wish.broker,
            source=clean_text(self._source)[:300],
            layout=reading.layout if reading else "",
            sha256=reading.sha256 if reading else "",
            published_at=self.published_at,
            actor=self._wish.actor[:150],
            outcome=outcome,
            why=why,
            rows=reading.rows if reading else 0,
            added=merged.added,
            changed=merged.changed,
            unchanged=merged.unchanged,
            gone=merged.gone,
            reused=merged.reused,
            doubtful=reading.doubtful if reading else 0,
            left_out=reading.left_out if reading else 0,
            doubts=reading.doubts if reading else [],
            seconds=round(time.monotonic() - self._began, 3),
        )
