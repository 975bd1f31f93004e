"""Approvals: what waits for a second person, and what became of the rest."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from apps.desk.forms import DecideForm, ReasonForm
from apps.desk.pages import desk_page, show, user_of
from apps.orders.models import Order
from apps.risk import approvals
from apps.risk.approvals import Facts, NotAllowed, NotOpen
from apps.risk.models import Approval

HISTORY = 100


@dataclass(frozen=True)
class Paper:
    """One request as a page shows it."""

    approval: Approval
    label: str
    facts: Facts
    why_not: str
    own: bool
    order: Order | None


@desk_page("risk.view_approval")
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """What waits, oldest first; what is over, newest first."""
    waiting = approvals.waiting().select_related("requested_by").order_by("id")
    over = Approval.objects.exclude(pk__in=waiting).select_related("requested_by", "decided_by")
    return show(
        request,
        "approvals",
        "Approvals",
        papers=[_paper(request, approval) for approval in waiting],
        history=over[:HISTORY],
    )


def _paper(request: HttpRequest, approval: Approval) -> Paper:
    kind, me = approvals.kind_of(approval), user_of(request)
    return Paper(
        approval,
        kind.label,
        kind.facts(approval),
        approvals.why_not(approval, me),
        approval.requested_by_id == me.pk,
        _order_of(approval),
    )


def _order_of(approval: Approval) -> Order | None:
    """What it is about; of a whole the slice that asked."""
    named = Q(correlation_id=approval.subject) | Q(parent__public_id=approval.subject)
    return Order.objects.filter(named).order_by("-slice_number").first()


@desk_page("risk.view_approval", approvals.DECIDE)
@require_POST
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Approve or refuse, with a reason; approving does it at once."""
    approval, form = get_object_or_404(Approval, pk=pk), DecideForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Nothing was decided: a reason is needed.")
        return redirect("desk:approvals")
    said = form.cleaned_data
    approve = said["answer"] == "approve"
    try:
        done = approvals.decide(approval.pk, user_of(request), said["reason"], approve=approve)
    except (NotAllowed, NotOpen) as error:
        messages.error(request, f"Not decided: {error}.")
    else:
        later = "It is carried out in a moment." if approve and done.executed_at is None else ""
        messages.success(request, f"{done.get_decision_display()}. {done.result or later}".strip())
    return redirect("desk:approvals")


@desk_page("risk.view_approval")
@require_POST
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Take one's own request back."""
    me, form = user_of(request), ReasonForm(request.POST)
    approval = get_object_or_404(Approval, pk=pk, requested_by=me)
    if not form.is_valid():
        messages.error(request, "Nothing was withdrawn: a reason is needed.")
    elif approvals.withdraw(approval.pk, me.get_username(), form.cleaned_data["reason"]):
        messages.success(request, "Withdrawn.")
    else:
        messages.error(request, "Too late: it is decided.")
    return redirect("desk:approvals")
