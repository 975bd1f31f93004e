"""The ready-to-trade board; asks itself again every few seconds."""

from __future__ import annotations

import datetime as dt

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.brokers.calendar import calendar_now
from apps.brokers.models import CalendarKind
from apps.desk import market_day, ready
from apps.desk.pages import desk_page, show


@desk_page("brokers.view_brokeraccount")
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Which accounts take entries now, and why the others do not."""
    boards = ready.boards()
    now = timezone.now()
    context = {
        "boards": boards,
        "sum": ready.summed(boards),
        "markets": _markets(boards, now),
        "now": now,
    }
    if "rows" in request.GET:
        return render(request, "desk/ready_rows.html", context)
    return show(request, "ready", "Ready to trade", **context)


def _markets(boards: list[ready.Board], now: dt.datetime) -> list[market_day.Now]:
    """Every segment by the calendar, where some account follows it."""
    follows = any(board.account.calendar == CalendarKind.EXCHANGE for board in boards)
    return market_day.now_in(calendar_now(), now) if follows else []
