"""Breaks: what the broker's books and ours disagree on, who looks after it, and why it was."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from apps.brokers.models import BrokerAccount
from apps.desk.forms import ReasonForm
from apps.desk.pages import desk_page, done, show, user_of
from apps.orders import breaks
from apps.orders.models import Break, BreakKind
from apps.people.typed import row_number

ROWS = 200
MAY_VIEW, MAY_RESOLVE = "orders.view_break", "orders.resolve_break"
STATES = {
    "open": "Open",
    "there": "Open or explained, still there",
    "over": "Over",
    "all": "All",
}


@desk_page(MAY_VIEW)
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Breaks by account, kind and state; the oldest open ones first."""
    said = request.GET
    state = said.get("state", "open") if said.get("state") in STATES else "open"
    rows = _in_state(state)
    if (account := row_number(said.get("account", ""))) is not None:
        rows = rows.filter(account=account)
    if said.get("kind") in BreakKind.values:
        rows = rows.filter(kind=said["kind"])
    rows = rows.select_related("account", "assigned_to", "resolved_by").prefetch_related("notes")
    return show(
        request,
        "breaks",
        "Breaks",
        rows=rows.order_by("first_seen" if state == "open" else "-id")[:ROWS],
        accounts=BrokerAccount.objects.order_by("name"),
        kinds=BreakKind.choices,
        states=STATES.items(),
        asked={"state": state, "account": account, "kind": said.get("kind", "")},
        may_resolve=request.user.has_perm(MAY_RESOLVE),
    )


def _in_state(state: str) -> breaks.Rows:
    rows = Break.objects.all()
    if state == "open":
        return rows.filter(resolution="")
    if state == "there":
        return rows.filter(gone_at=None)
    return rows.filter(gone_at__isnull=False) if state == "over" else rows


@desk_page(MAY_VIEW, MAY_RESOLVE)
@require_POST
def take_on(request: HttpRequest, pk: int) -> HttpResponse:
    """I look after it."""
    try:
        row = breaks.take_on(_known(pk), user_of(request))
    except breaks.CannotResolve as error:
        messages.error(request, f"Not taken on: {error}.")
        return redirect("desk:breaks")
    return done(request, f"Yours now: {row}.", "desk:breaks")


@desk_page(MAY_VIEW, MAY_RESOLVE)
@require_POST
def explain(request: HttpRequest, pk: int) -> HttpResponse:
    """Why it is so, for good."""
    form = ReasonForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Nothing was explained: a reason is needed, up to 300 letters.")
        return redirect("desk:breaks")
    try:
        reason, seen = form.cleaned_data["reason"], request.POST.get("seen", "")
        row = breaks.explain(_known(pk), user_of(request), reason, seen)
    except breaks.CannotResolve as error:
        messages.error(request, f"Not explained: {error}.")
        return redirect("desk:breaks")
    return done(request, f"Explained: {row}.", "desk:breaks")


def _known(pk: int) -> int:
    if not Break.objects.filter(pk=pk).exists():
        raise Http404
    return pk
