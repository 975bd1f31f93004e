"""The switches: what may trade, who turned what when, and the button that stops it."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from apps.desk import switches
from apps.desk.forms import SwitchForm
from apps.desk.pages import actor_of, desk_page, show
from apps.risk import switch
from apps.risk.models import StateChange

HISTORY = 100


@desk_page("risk.view_tradingstate")
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Every switch, and its history."""
    return _show(request, SwitchForm())


@desk_page("risk.view_tradingstate", "risk.change_tradingstate")
@require_POST
def turn(request: HttpRequest) -> HttpResponse:
    """Halt at once; resume only for superusers. Both need a reason and are recorded."""
    form = SwitchForm(request.POST)
    if not form.is_valid():
        return _show(request, form)
    said = form.cleaned_data
    if said["to"] == "resume" and not request.user.is_superuser:
        raise PermissionDenied
    actor = actor_of(request)
    act = switch.resume if said["to"] == "resume" else switch.halt
    try:
        change = act(said["scope"], said["reason"], actor.name, actor.user)
    except switch.NoRiskState as error:
        form.add_error(None, f"{error}.")
        return _show(request, form)
    messages.success(request, str(change) if change else f"{said['scope']}: nothing to change.")
    return redirect("desk:switches")


def _show(request: HttpRequest, form: SwitchForm) -> HttpResponse:
    return show(
        request,
        "switches",
        "Switches",
        form=form,
        states=switches.in_order(),
        history=StateChange.objects.all()[:HISTORY],
        may_turn=request.user.has_perm("risk.change_tradingstate"),
        may_resume=request.user.is_superuser,
    )
