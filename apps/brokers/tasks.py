"""Keeping sessions alive: beat finds who wants it, and each account is a task of its own."""

from __future__ import annotations

import structlog
from celery import current_app, shared_task
from kombu.exceptions import OperationalError

from apps.brokers import tending
from apps.brokers.models import BrokerAccount
from apps.brokers.recording import recorded

log = structlog.get_logger(__name__)


@shared_task(name="brokers.sessions")
@recorded
def tend_sessions() -> None:
    """Ring for every account whose session wants something; one that hangs holds up no other."""
    for account_id in tending.due():
        try:
            current_app.send_task("brokers.session", args=[account_id], queue="reads", retry=False)
        except (OperationalError, OSError) as error:
            log.warning("bell lost", account=account_id, error=type(error).__name__)


@shared_task(name="brokers.session")
@recorded
def tend_session(account_id: int) -> None:
    """Renew, replace or look at one account's token."""
    tending.tend(BrokerAccount.objects.get(pk=account_id))
