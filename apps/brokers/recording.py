"""What every task of the house does when it breaks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import structlog
from django.db import connection

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
