"""Acknowledging one alert from the start page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from apps.alerts import acknowledging
from apps.alerts.models import Alert
from apps.desk.pages import desk_page, done, user_of


@desk_page("alerts.view_alert", acknowledging.PERMISSION)
@require_POST
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """In this person's name; somebody who was quicker stays."""
    alert = get_object_or_404(Alert, pk=pk)
    first = acknowledging.acknowledge([alert.pk], user_of(request))
    text = "Acknowledged." if first else "Somebody acknowledged it before."
    return done(request, text, "desk:front")
