"""The kill switch: pull it, watch it work, see the evidence."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from apps.brokers.models import BrokerAccount
from apps.desk.forms import ReasonForm
from apps.desk.pages import actor_of, desk_page, show
from apps.orders import killing
from apps.orders.killing import CannotKill
from apps.risk.models import DESK, ExitGoal, KillAccount, KillRun, KillStage
from apps.risk.switch import NoRiskState

LATELY = 30
MAY_VIEW, MAY_KILL = "risk.view_killrun", "risk.change_tradingstate"
CANCEL, CLOSE = "cancel", "close"


class KillForm(ReasonForm):
    """What to stop, how far, and why."""

    scope = forms.ChoiceField(label="What to stop")
    how = forms.ChoiceField(
        label="How far",
        choices=[
            (CLOSE, "Halt, cancel every order, close every position"),
            (CANCEL, "Halt and cancel every order; positions stay"),
        ],
        widget=forms.RadioSelect,
        initial=CLOSE,
    )
    drill = forms.BooleanField(
        required=False, label="Drill", help_text="Touches simulated accounts alone, for practice."
    )
    field_order = ("scope", "how", "drill", "reason")

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - Django's own signature
        super().__init__(*args, **named)
        names = BrokerAccount.objects.order_by("name").values_list("name", flat=True)
        self.fields["scope"] = forms.ChoiceField(
            label="What to stop",
            choices=[(DESK, "Every account"), *((name, name) for name in names)],
        )


@desk_page(MAY_VIEW)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The form; after the first POST the question; after the second it is pulled."""
    may_kill = request.user.has_perm(MAY_KILL)
    form = KillForm(request.POST or None, initial={"scope": DESK} | request.GET.dict())
    confirming = request.method == "POST" and may_kill and form.is_valid()
    if confirming and "confirmed" in request.POST:
        run = _pull(request, form)
        if run is not None:
            return redirect("desk:kill_run", run.pk)
    runs = KillRun.objects.all()[:LATELY]
    return show(
        request,
        "kill",
        "Kill switch",
        form=form,
        may_kill=may_kill,
        confirming=confirming and not form.errors and "back" not in request.POST,
        runs=runs,
        open=_open(),
    )


def _pull(request: HttpRequest, form: KillForm) -> KillRun | None:
    """Pull it; None with the error on the form."""
    said = form.cleaned_data
    try:
        return killing.kill(
            said["scope"],
            actor_of(request),
            said["reason"],
            with_positions=said["how"] == CLOSE,
            drill=said["drill"],
        )
    except (CannotKill, NoRiskState) as error:
        form.add_error(None, f"Not pulled: {error}.")
        return None


@desk_page(MAY_VIEW)
@require_safe
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """Progress and evidence on one page, which asks itself again."""
    found = get_object_or_404(KillRun, pk=pk)
    context = {"run": found, "sheets": _sheets(found), "stages": KillStage}
    if "rows" in request.GET:
        return render(request, "desk/kill_rows.html", context)
    return show(request, "kill_run", f"Kill switch #{found.pk}", **context)


def _open() -> list[KillAccount]:
    rows = KillAccount.objects.exclude(stage=KillStage.CLEARED)
    return list(rows.select_related("account", "run"))


def _sheets(found: KillRun) -> list[dict[str, Any]]:
    """Each account with its history, and the positions that were closed for it."""
    sheets = []
    for row in found.rows.prefetch_related("notes"):
        goals = ExitGoal.objects.filter(account=row.account, opened_at__gte=found.started_at)
        sheets.append({"row": row, "goals": goals.select_related("instrument")[:100]})
    return sheets
