"""The page of one order, with its timeline, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_safe

from apps.brokers.budget import changes_used
from apps.desk import blotter, rights, rows, timeline, units, words
from apps.desk.doubts import OF_AN_EARLIER_DAY
from apps.desk.forms import ModifyForm, ReasonForm, ReleaseForm
from apps.desk.pages import actor_of, desk_page, done, from_dialog, refused, show, user_of
from apps.desk.rights import Rights
from apps.desk.units import Unit
from apps.desk.views import prices
from apps.orders import releasing, services
from apps.orders.models import Bracket, Modification, Order, OrderQuerySet, trading_day
from apps.orders.services import BadOrder, TooLate
from apps.orders.states import Status
from apps.risk.approvals import NotAllowed, NotOpen
from apps.risk.models import Hold


def _order(pk: int, orders: OrderQuerySet | None = None) -> Order:
    """The order; another system's only where it is merely shown."""
    orders = Order.objects.all() if orders is None else orders
    return get_object_or_404(
        orders.select_related("account", "instrument", "replaces", "parent"), pk=pk
    )


@desk_page("orders.view_order")
@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """All that is known of one order."""
    order = _order(pk, Order.every.all())
    its = rights.of(request.user)
    unit = _unit_of(order)
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
        explained=_explained(order),
        rights=its,
        scopes=[order.account.name],
        unit=unit,
        bracket=unit.bracket,
        bracket_rows=rows.of_bracket(unit, its) if unit.bracket else [],
        replaced_by=Order.objects.filter(replaces=order),
        **_offers(order, unit, its),
        **_release_of(order, its),
        now=prices.seen(order.account, order.instrument),
    )


def _unit_of(order: Order) -> Unit:
    """What the live page shows it in: its bracket, or the order by itself."""
    brackets = Bracket.objects.select_related("account", "instrument")
    with blotter.one_moment():
        bracket = brackets.filter(pk=order.bracket_number or 0, origin=None).first()
        return units.of_bracket(bracket) if bracket else Unit([order])


def _offers(order: Order, unit: Unit, its: Rights) -> dict[str, Any]:
    """What can be done here; of a part of a bracket, also what is done to the bracket."""
    for line in unit.lines:
        if line.order == order:
            return rows.offers_of_line(unit, line, its) | {"line": line}
    return rows.offers(order, its)


def _explained(order: Order) -> str:
    """What its status means, in a sentence."""
    if releasing.was_released(order):
        return words.RELEASED
    if order.status == Status.UNKNOWN and order.trading_day < trading_day():
        return OF_AN_EARLIER_DAY
    return words.EXPLAINED.get(Status(order.status), "")


def _release_of(order: Order, its: Rights) -> dict[str, Any]:
    """Of an order in doubt: the request to release it, or whether this person may make one."""
    if order.status != Status.UNKNOWN:
        return {}
    asked = releasing.waiting(order)
    why_not = releasing.why_not(order)
    can_release = its.may_cancel and not asked and not why_not
    return {"release": asked, "release_later": why_not, "can_release": can_release}


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


@desk_page("orders.view_order", releasing.ASK)
@require_http_methods(["GET", "POST"])
def release(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask what the broker's statement shows, then ask a second person to release the order."""
    order = _order(pk)
    form = ReleaseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with _refusals_on(form):
            asked = releasing.ask(order, user_of(request), form.cleaned_data["reason"])
            said = f"Asked. A second person decides until {words.ist(asked.expires_at)[:8]}."
            return done(request, said, "desk:order", order.pk)
    its = rights.of(request.user)
    title = f"Release {order.side} {order.instrument.symbol}"
    return _ask(request, order, form, "release", title, **_release_of(order, its))


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
    except (NotAllowed, NotOpen) as error:
        form.add_error(None, f"Not asked: {error}.")


def _ask(
    request: HttpRequest,
    order: Order,
    form: Form,
    template: str,
    title: str,
    *,
    confirming: bool = False,
    **more: Any,  # noqa: ANN401 - what the template shows
) -> HttpResponse:
    if from_dialog(request):
        return refused(form)
    context = more | {"order": order, "form": form, "confirming": confirming and not form.errors}
    return show(request, template, title, **context)
