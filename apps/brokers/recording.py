"""What every task of the house does when it breaks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


def recorded(work: Callable[..., None]) -> Callable[..., None]:
    """Record what breaks and let the rows decide: nothing here retries a send."""

    @wraps(work)
    def wrapper(*args: int | str) -> None:
        try:
            on_a_living_connection(work, *args)
        except Exception:
            log.exception("task broke", task=work.__name__, args=args)
            connection.close_if_unusable_or_obsolete()

    return wrapper


def on_a_living_connection(work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Once more when the database was restarted since this thread's last work.

    Only for work that may run twice, because what it did the first time is in the rows.
    """
    try:
        return work(*args, **named)
    except (OperationalError, InterfaceError):
        if connection.is_usable():
            raise
        connection.close()
        return work(*args, **named)
