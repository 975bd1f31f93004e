"""The page of one signal: what was heard, what became of it, and its order's life."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from apps.desk import timeline
from apps.desk.pages import desk_page, show
from apps.signals.models import Signal


@desk_page("signals.view_signal", "orders.view_order")
@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """All that is known of one signal."""
    found = Signal.objects.select_related("source", "account", "order__account")
    signal = get_object_or_404(found, pk=pk)
    entries = timeline.of_signal(signal)
    return show(request, "signal", f"Signal {signal.pk}", signal=signal, entries=entries)
