"""The bells' other end: each task reads an id and calls one workflow function."""

from __future__ import annotations

from contextlib import suppress

import structlog
from celery import shared_task

from apps.alerts.raising import sign_of_life
from apps.alerts.spreading import forget_routine
from apps.brokers import (
    calendar_watch,
    holdings,
    importing,
    journal,
    margins,
    quotes,
    reporting,
)
from apps.brokers.locks import turn_if_free
from apps.brokers.models import AccessToken, BrokerAccount
from apps.brokers.port import ReadFailed
from apps.brokers.recording import recorded
from apps.orders import (
    bracket_guard,
    cancels,
    changes,
    dayend,
    dispatch,
    flatten,
    killing,
    look,
    queue,
    reconcile,
    slices,
    sweep,
    trimming,
)
from apps.risk import footing

log = structlog.get_logger(__name__)


@shared_task(name="orders.dispatch")
@recorded
def dispatch_order(order_id: int) -> None:
    """Send one approved order."""
    dispatch.dispatch(order_id)


@shared_task(name="orders.cancel")
@recorded
def cancel_order(order_id: int) -> None:
    """Ask for one cancel."""
    cancels.send_cancel(order_id)


@shared_task(name="orders.slices")
@recorded
def place_slices(slicing_id: int) -> None:
    """Place the next slices of one whole."""
    slices.advance(slicing_id)


@shared_task(name="orders.modify")
@recorded
def modify_order(modification_id: int) -> None:
    """Send one change of terms."""
    changes.send_change(modification_id)


@shared_task(name="orders.sweep")
@recorded
def sweep_orders() -> None:
    """One pass over what should have moved."""
    with turn_if_free("sweep") as mine:
        if mine:
            sweep.sweep()
            sign_of_life(sweep.SWEEP)


@shared_task(name="orders.bracket")
@recorded
def tend_bracket(bracket_id: int) -> None:
    """One look at one bracket."""
    bracket_guard.tend(bracket_id)


@shared_task(name="orders.flatten_due")
@recorded
def flatten_due() -> None:
    """Ring for every account with something to close."""
    for account in flatten.accounts_due():
        queue.ring_flatten(account.pk)


@shared_task(name="orders.flatten")
@recorded
def flatten_account(account_id: int) -> None:
    """One pass over what is to be closed on one account."""
    flatten.flatten(BrokerAccount.objects.get(pk=account_id))


@shared_task(name="orders.kill_due")
@recorded
def kill_due() -> None:
    """Ring for every account that is being stopped."""
    for row in killing.due():
        queue.ring_kill(row.pk)


@shared_task(name="orders.kill")
@recorded
def kill_account(row_id: int) -> None:
    """One pass of the kill switch over one account."""
    killing.advance(row_id)


@shared_task(name="orders.reconcile_due")
@recorded
def reconcile_due() -> None:
    """Ring a reconciliation for every account that needs one."""
    for account in reconcile.accounts_due():
        queue.ring_reconcile(account.pk)


@shared_task(name="orders.reconcile")
@recorded
def reconcile_account(account_id: int) -> None:
    """Read one account's books."""
    account = BrokerAccount.objects.get(pk=account_id)
    reconcile.reconcile(account)
    trimming.trim_by_last_read(account)


@shared_task(name="orders.look")
@recorded
def look_for_unknown(account_id: int) -> None:
    """Look for one account's UNKNOWN orders."""
    look.look(BrokerAccount.objects.get(pk=account_id))


@shared_task(name="orders.reports")
@recorded
def refresh_reports() -> None:
    """Read funds, positions and once a minute the holdings of every enabled account.

    A failure leaves the old, ageing row.
    """
    with turn_if_free("reports") as mine:
        for account in _with_token() if mine else []:
            try:
                reporting.store_funds(account)
                trimming.trim(account, footing.read_positions(account))
                holdings.refresh_if_due(account)
            except ReadFailed as error:
                log.warning("report not refreshed", account=account.name, error=str(error))


@shared_task(name="orders.day_reports")
@recorded
def report_days() -> None:
    """Write the report of every account whose day is over."""
    with turn_if_free("day reports") as mine:
        for report in dayend.report_due_days() if mine else []:
            log.info("day reported", account=report.account.name, day=str(report.trading_day))


@shared_task(name="orders.forget")
@recorded
def forget_old_reads() -> None:
    """Keep reads and messages of mere routine to a month, no wishes and margins that are over."""
    log.info("old reads forgotten", rows=journal.forget_old_reads())
    log.info("old messages forgotten", rows=forget_routine())
    quotes.forget_old_wishes()
    margins.forget_old()


@shared_task(name="orders.instruments")
@recorded
def import_instruments() -> None:
    """Read the brokers' master files when the day's are due."""
    with suppress(importing.Busy):
        importing.import_if_due()


@shared_task(name="orders.import_now")
@recorded
def import_now(broker: str, even_if_fewer: bool, actor: str) -> None:
    """Read a broker's master file because a person asked."""
    wish = importing.Wish(broker=broker, even_if_fewer=even_if_fewer, actor=actor)
    try:
        importing.import_published(wish)
    except importing.Busy as error:
        log.info("not imported", why=str(error))


@shared_task(name="orders.watch_calendar")
@recorded
def watch_calendar() -> None:
    """Tell people when a calendar that accounts trade by is missing, or soon will be."""
    calendar_watch.watch()


def _with_token() -> list[BrokerAccount]:
    in_force = AccessToken.objects.filter(retired_at=None).values("account")
    return list(BrokerAccount.objects.filter(enabled=True, pk__in=in_force))
