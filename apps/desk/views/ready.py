"""The ready-to-trade board; asks itself again every few seconds."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.desk import ready
from apps.desk.pages import desk_page, show


@desk_page("brokers.view_brokeraccount")
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Which accounts take entries now, and why the others do not."""
    boards = ready.boards()
    context = {"boards": boards, "sum": ready.summed(boards), "now": timezone.now()}
    if "rows" in request.GET:
        return render(request, "desk/ready_rows.html", context)
    return show(request, "ready", "Ready to trade", **context)
