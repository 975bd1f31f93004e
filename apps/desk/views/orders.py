"""The page of one order, with its timeline, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_safe

from apps.brokers.budget import changes_used
from apps.desk import rights, rows, timeline, words
from apps.desk.forms import ModifyForm, ReasonForm
from apps.desk.pages import actor_of, desk_page, done, from_dialog, refused, show
from apps.desk.views import prices
from apps.orders import services
from apps.orders.models import Modification, Order
from apps.orders.services import BadOrder, TooLate
from apps.orders.states import Status
from apps.risk.models import Hold


def _order(pk: int) -> Order:
    return get_object_or_404(
        Order.objects.select_related("account", "instrument", "replaces"), pk=pk
    )


@desk_page("orders.view_order")
@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """All that is known of one order."""
    order = _order(pk)
    its = rights.of(request.user)
    return show(
        request,
        "order",
        f"{order.side} {words.grouped(order.quantity)} {order.instrument.symbol}",
        order=order,
        entries=timeline.of(order),
        hold=Hold.objects.filter(correlation_id=order.correlation_id).first(),
        change=services.change_under_way(order),
        changes_used=changes_used(order.correlation_id),
        changes_most=settings.CHANGES_PER_ORDER,
        explained=words.EXPLAINED.get(Status(order.status), ""),
        rights=its,
        scopes=[order.account.name],
        replaced_by=Order.objects.filter(replaces=order),
        **rows.offers(order, its),
        now=prices.seen(order.account, order.instrument),
    )


@desk_page("orders.view_order", "orders.cancel_order")
@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the reason, then wish the order cancelled."""
    order = _order(pk)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with _refusals_on(form):
            services.cancel(order, actor_of(request), form.cleaned_data["reason"])
            return done(request, "Cancel asked for.", "desk:order", order.pk)
    return _ask(request, order, form, "cancel", f"Cancel {order.side} {order.instrument.symbol}")


@desk_page("orders.view_order", "orders.modify_order")
@require_http_methods(["GET", "POST"])
def modify(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for new terms, show them beside the old, then have them reviewed and sent."""
    order = _order(pk)
    form = ModifyForm(order, request.POST or None)
    confirming = request.method == "POST" and form.is_valid()
    if confirming and "confirmed" in request.POST:
        with _refusals_on(form):
            why = form.cleaned_data["reason"]
            change = services.modify(order, actor_of(request), why, **form.terms())
            return _reviewed(request, form, change)
    title = f"Change {order.side} {order.instrument.symbol}"
    return _ask(request, order, form, "modify", title, confirming=confirming)


def _reviewed(request: HttpRequest, form: Form, change: Modification) -> HttpResponse:
    """Say what risk made of the new terms."""
    if change.settled_at is None:
        said = "New terms approved and on their way."
        return done(request, said, "desk:order", change.order_id)
    said = f"New terms refused. {change.reason}"
    if from_dialog(request):
        form.add_error(None, said)
        return refused(form)
    messages.error(request, said)
    return redirect("desk:order", change.order_id)


@contextmanager
def _refusals_on(form: Form) -> Iterator[None]:
    """What the desk refuses is shown at its field."""
    try:
        yield
    except BadOrder as error:
        form.add_error(error.field if error.field in form.fields else None, error.text)
    except TooLate as error:
        form.add_error(None, f"Too late: {error}.")


def _ask(
    request: HttpRequest,
    order: Order,
    form: Form,
    template: str,
    title: str,
    *,
    confirming: bool = False,
) -> HttpResponse:
    if from_dialog(request):
        return refused(form)
    context = {"order": order, "form": form, "confirming": confirming and not form.errors}
    return show(request, template, title, **context)
