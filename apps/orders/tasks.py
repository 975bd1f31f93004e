"""The bells' other end: each task reads an id and calls one workflow function."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import structlog
from celery import shared_task
from django.db import connection

from apps.alerts.raising import sign_of_life
from apps.brokers import journal, margins, quotes, reporting
from apps.brokers.locks import turn_if_free
from apps.brokers.models import AccessToken, BrokerAccount
from apps.brokers.port import ReadFailed
from apps.orders import cancels, changes, dispatch, look, queue, reconcile, sweep

log = structlog.get_logger(__name__)


def recorded(work: Callable[..., None]) -> Callable[..., None]:
    """Record what breaks and let the rows decide: nothing here retries a send."""

    @wraps(work)
    def wrapper(*args: int) -> None:
        try:
            work(*args)
        except Exception:
            log.exception("task broke", task=work.__name__, args=args)
            connection.close_if_unusable_or_obsolete()

    return wrapper


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
    reconcile.reconcile(BrokerAccount.objects.get(pk=account_id))


@shared_task(name="orders.look")
@recorded
def look_for_unknown(account_id: int) -> None:
    """Look for one account's UNKNOWN orders."""
    look.look(BrokerAccount.objects.get(pk=account_id))


@shared_task(name="orders.reports")
@recorded
def refresh_reports() -> None:
    """Read funds and positions of every enabled account; a failure leaves the old, ageing row."""
    with turn_if_free("reports") as mine:
        for account in _with_token() if mine else []:
            try:
                reporting.store_funds(account)
                reporting.store_positions(account)
            except ReadFailed as error:
                log.warning("report not refreshed", account=account.name, error=str(error))


@shared_task(name="orders.forget")
@recorded
def forget_old_reads() -> None:
    """Keep the journal of reads to a month, and nothing of wishes and margins that are over."""
    log.info("old reads forgotten", rows=journal.forget_old_reads())
    quotes.forget_old_wishes()
    margins.forget_old()


def _with_token() -> list[BrokerAccount]:
    in_force = AccessToken.objects.filter(retired_at=None).values("account")
    return list(BrokerAccount.objects.filter(enabled=True, pk__in=in_force))
