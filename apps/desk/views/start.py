"""The start page; asks for its parts again every few seconds."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.desk import start
from apps.desk.pages import desk_page, show, user_of
from apps.risk.models import DESK


@desk_page()
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """What matters now. Everybody may open it; each part asks for its own permission."""
    found = start.read(user_of(request))
    if "parts" in request.GET:
        return render(request, "desk/start_parts.html", found)
    scopes = [DESK, *(line.account.name for line in found.get("lines", []))]
    return show(request, "start", "Start", **found, scopes=scopes, is_fullwidth="1")
