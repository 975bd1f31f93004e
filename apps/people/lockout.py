"""Locking out who guesses passwords, and the page that says for how long."""

from __future__ import annotations

import datetime as dt
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username, get_cool_off
from axes.models import AccessAttempt, AccessLog
from django.conf import settings
from django.contrib import admin
from django.db.models import Max, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

KNOWN_FOR = dt.timedelta(days=30)


class Handler(AxesDatabaseHandler):  # type: ignore[misc]
    """Counts failures per name and address, and slower ones per name from everywhere.

    The second count spares addresses that the person has signed in from lately, so that nobody
    can keep the administrator out by guessing from elsewhere.
    """

    def get_failures(
        self,
        request: Any,  # noqa: ANN401 - a request with what django-axes has noted on it
        credentials: dict[str, Any] | None = None,
    ) -> int:
        """The count that is compared with the limit."""
        own = int(super().get_failures(request, credentials))
        if _besieged(get_client_username(request, credentials), request.axes_ip_address):
            return max(own, int(settings.AXES_FAILURE_LIMIT))
        return own


def _besieged(username: str | None, address: str | None) -> bool:
    failures = _recent(username).aggregate(total=Sum("failures_since_start"))["total"] or 0
    if failures < settings.SIEGE_LIMIT:
        return False
    lately = timezone.now() - KNOWN_FOR
    known = AccessLog.objects.filter(username=username, attempt_time__gt=lately)
    return address is None or not known.filter(ip_address=address).exists()


def _recent(username: str | None) -> QuerySet[Any]:
    since = timezone.now() - (get_cool_off() or dt.timedelta())
    attempts: QuerySet[Any] = AccessAttempt.objects.filter(
        username=username, attempt_time__gt=since
    )
    return attempts


def page(request: Any, _answer: Any, credentials: dict[str, Any] | None) -> HttpResponse:  # noqa: ANN401
    """429 with the time that is left, whoever the name belongs to."""
    username = get_client_username(request, credentials)
    own = _recent(username).filter(ip_address=request.axes_ip_address)
    last = (own if own.exists() else _recent(username)).aggregate(last=Max("attempt_time"))["last"]
    cool_off = get_cool_off() or dt.timedelta()
    left = (last or timezone.now()) + cool_off - timezone.now()
    context = {
        **_frame(request),
        "title": "Locked out",
        "minutes": max(1, -(-int(left.total_seconds()) // 60)),
    }
    return render(request, "people/locked.html", context, status=429)


def _frame(request: HttpRequest) -> dict[str, Any]:
    return admin.site.each_context(request)
