"""Keep exits going when Redis or the workers are gone: one process on PostgreSQL alone.

It does nothing while somebody else sweeps. Entries wait for the workers, or lapse.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from apps.alerts.models import Severity
from apps.alerts.raising import STEADY, raise_alert, seconds_since, settle_alert, sign_of_life
from apps.orders import flatten, killing, reconcile, trimming
from apps.orders.sweep import SWEEP, sweep

log = structlog.get_logger(__name__)
OWN_NAME = "guard"
ALERT = "guard:acting"


def watch(should_stop: Callable[[], bool]) -> None:
    """Run until ``should_stop``."""
    acting = False
    while not should_stop():
        try:
            acting = _turn(acting=acting)
        except Exception:
            log.exception("the guard's turn broke; the next one comes")
            connection.close_if_unusable_or_obsolete()
        time.sleep(settings.SWEEP_EVERY)


def _turn(*, acting: bool) -> bool:
    sign_of_life(OWN_NAME, "acting" if acting else "watching")
    if not nobody_sweeps():
        settle_alert(ALERT, "the workers sweep again", STEADY)
        return False
    if not acting:
        raise_alert(ALERT, "nobody swept for seconds: the guard acts", Severity.CRITICAL)
    act()
    return True


def nobody_sweeps() -> bool:
    """True when the workers' last sweep is too long ago, or there never was one."""
    silence = seconds_since(SWEEP)
    return silence is None or silence > settings.GUARD_AFTER


def act() -> None:
    """One sweep of our own that sends exits and cancels itself, the books that are due, and what
    parts above the orders keep going (``GUARD_ALSO``)."""
    sweep(direct=True)
    killing.advance_due()
    flatten.flatten_due()
    for step in settings.GUARD_ALSO:
        import_string(step)()
    for account in reconcile.accounts_due():
        reconcile.reconcile(account)
        trimming.trim_by_last_read(account)
