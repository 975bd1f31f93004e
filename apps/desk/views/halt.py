"""The switches: what may trade, who turned what when, and the button that stops it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST, require_safe

from apps.desk import switches
from apps.desk.forms import SwitchForm
from apps.desk.pages import actor_of, desk_page, done, from_dialog, refused, show, user_of
from apps.risk import approvals, resuming, switch
from apps.risk.approvals import NotAllowed, NotOpen
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
    """Halt at once; resuming only asks for a second person. Both need a reason."""
    form = SwitchForm(request.POST)
    if not form.is_valid():
        return _again(request, form)
    said = form.cleaned_data
    act = _ask_to_resume if said["to"] == "resume" else _halt
    try:
        text = act(request, said["scope"], said["reason"])
    except (switch.NoRiskState, NotAllowed, NotOpen) as error:
        form.add_error(None, f"{error}.")
        return _again(request, form)
    return done(request, text, "desk:switches")


def _again(request: HttpRequest, form: SwitchForm) -> HttpResponse:
    return refused(form) if from_dialog(request) else _show(request, form)


def _halt(request: HttpRequest, scope: str, reason: str) -> str:
    actor = actor_of(request)
    change = switch.halt(scope, reason, actor.name, actor.user)
    if change is None:
        return f"{scope} is halted already."
    return f"{scope} is halted: only exits and cancels go."


def _ask_to_resume(request: HttpRequest, scope: str, reason: str) -> str:
    resuming.ask(scope, user_of(request), reason)
    return f"Asked. {scope} stays closed until a second person approves."


def _show(request: HttpRequest, form: SwitchForm) -> HttpResponse:
    return show(
        request,
        "switches",
        "Switches",
        form=form,
        states=switches.in_order(),
        history=StateChange.objects.all()[:HISTORY],
        may_turn=request.user.has_perm("risk.change_tradingstate"),
        asked=set(approvals.waiting().filter(kind=resuming.KIND).values_list("subject", flat=True)),
    )
