"""Health, for machines and for people."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.desk import health
from apps.desk.pages import desk_page, show


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when every part is alive, else 503 with the parts that are not."""
    found = health.check()
    return JsonResponse(found.as_json(), status=503 if found.failing else 200)


@desk_page("alerts.view_heartbeat")
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The same for people; asks itself again every few seconds."""
    context = {"health": health.check(), "now": timezone.now()}
    if "rows" in request.GET:
        return render(request, "desk/health_rows.html", context)
    return show(request, "health", "Health", **context)
