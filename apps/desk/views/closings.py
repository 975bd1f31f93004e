"""What is being closed: ask for it, watch it, take it back, let it go on."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_safe

from apps.brokers.models import BrokerAccount, Instrument
from apps.brokers.port import Product
from apps.desk.forms import ReasonForm
from apps.desk.pages import actor_of, desk_page, done, from_dialog, refused, show
from apps.orders import goals
from apps.orders.goals import Closing, NotOpen
from apps.orders.services import BadOrder
from apps.people.typed import row_number
from apps.risk.models import ExitGoal

LATELY = 30
MAY_VIEW, MAY_CLOSE = "risk.view_exitgoal", "risk.flatten"


class CloseForm(ReasonForm):
    """Which position is to be closed, whose part of it, and why."""

    account = forms.ModelChoiceField(BrokerAccount.objects.all(), widget=forms.HiddenInput)
    instrument = forms.ModelChoiceField(Instrument.objects.all(), widget=forms.HiddenInput)
    product = forms.ChoiceField(
        choices=[(word.value, word.value) for word in Product], widget=forms.HiddenInput
    )
    owner = forms.CharField(max_length=90, required=False, widget=forms.HiddenInput)
    target = forms.IntegerField(
        initial=0, help_text="Net units to come down to; 0 closes it, below zero is short."
    )
    field_order = ("account", "instrument", "product", "owner", "target", "reason")

    def wanted(self) -> Closing:
        """The position as the desk's services take it."""
        said = self.cleaned_data
        names = ("account", "instrument", "product", "owner", "target")
        whole = said["product"] == Product.DELIVERY
        return Closing(**{name: said[name] for name in names}, holdings=whole)


@desk_page(MAY_VIEW)
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """What is being closed, and what was lately; asks itself again."""
    every = ExitGoal.objects.select_related("account", "instrument").prefetch_related("notes")
    context = {
        "open": every.filter(state__in=goals.OPEN),
        "ended": every.exclude(state__in=goals.OPEN)[:LATELY],
        "may_close": request.user.has_perm(MAY_CLOSE),
    }
    if "rows" in request.GET:
        return render(request, "desk/closings_rows.html", context)
    return show(request, "closings", "Closings", **context)


@desk_page(MAY_VIEW, MAY_CLOSE)
@require_http_methods(["GET", "POST"])
def close(request: HttpRequest) -> HttpResponse:
    """Ask why, then open a goal for the position."""
    form = CloseForm(request.POST or None, initial=request.GET.dict())
    if request.method == "POST" and form.is_valid():
        try:
            goal = goals.open_goal(form.wanted(), actor_of(request), form.cleaned_data["reason"])
            return done(request, f"Closing {goal}.", "desk:closings")
        except BadOrder as error:
            form.add_error(error.field if error.field in form.fields else None, error.text)
    if from_dialog(request):
        return refused(form)
    data = form.data if form.is_bound else form.initial
    return show(
        request,
        "close",
        "Close a position",
        form=form,
        account=get_object_or_404(BrokerAccount, pk=row_number(str(data.get("account", "")))),
        instrument=get_object_or_404(Instrument, pk=row_number(str(data.get("instrument", "")))),
        product=data.get("product"),
        owner=data.get("owner"),
    )


@desk_page(MAY_VIEW, MAY_CLOSE)
@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Place nothing more for it; what it has at work stays."""
    said = "No further order is placed for it."
    return _act(request, pk, goals.withdraw, said, "Withdraw")


@desk_page(MAY_VIEW, MAY_CLOSE)
@require_http_methods(["GET", "POST"])
def go_on(request: HttpRequest, pk: int) -> HttpResponse:
    """Somebody has looked at a stopped one."""
    return _act(request, pk, goals.go_on, "It goes on.", "Let it go on")


def _act(request: HttpRequest, pk: int, act: goals.Act, said: str, label: str) -> HttpResponse:
    goal = get_object_or_404(ExitGoal.objects.select_related("account", "instrument"), pk=pk)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            act(goal, actor_of(request), form.cleaned_data["reason"])
            return done(request, said, "desk:closings")
        except NotOpen as error:
            form.add_error(None, f"Not done: {error}.")
    if from_dialog(request):
        return refused(form)
    return show(request, "closing_act", label, form=form, goal=goal, label=label)
