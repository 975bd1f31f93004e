"""The page of one order, with its timeline, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_safe

from apps.desk import timeline, words
from apps.desk.forms import ModifyForm, ReasonForm
from apps.desk.pages import actor_of, desk_page, show
from apps.desk.views import prices
from apps.orders import services
from apps.orders.models import Order
from apps.orders.services import BadOrder, TooLate
from apps.orders.states import AT_BROKER, Status
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
    may = request.user.has_perm
    return show(
        request,
        "order",
        f"{order.side} {words.grouped(order.quantity)} {order.instrument.symbol}",
        order=order,
        entries=timeline.of(order),
        hold=Hold.objects.filter(correlation_id=order.correlation_id).first(),
        change=services.change_under_way(order),
        explained=words.EXPLAINED.get(Status(order.status), ""),
        can_cancel=order.can_cancel and may("orders.cancel_order"),
        can_modify=_can_modify(order) and may("orders.modify_order"),
        replaced_by=Order.objects.filter(replaces=order),
        now=prices.seen(order.account, order.instrument),
    )


def _can_modify(order: Order) -> bool:
    return order.status in AT_BROKER and order.cancel_wanted_at is None


@desk_page("orders.view_order", "orders.cancel_order")
@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the reason, then wish the order cancelled."""
    order = _order(pk)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and _done(form, lambda: _cancel(request, order, form)):
        return _well(request, order, "Cancel asked for.")
    return _ask(request, order, form, "cancel", f"Cancel {order.side} {order.instrument.symbol}")


def _cancel(request: HttpRequest, order: Order, form: Form) -> None:
    services.cancel(order, actor_of(request), form.cleaned_data["reason"])


@desk_page("orders.view_order", "orders.modify_order")
@require_http_methods(["GET", "POST"])
def modify(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for new terms, show them beside the old, then have them reviewed and sent."""
    order = _order(pk)
    form = ModifyForm(order, request.POST or None)
    confirming = request.method == "POST" and form.is_valid()
    sure = confirming and "confirmed" in request.POST
    if sure and _done(form, lambda: _modify(request, order, form)):
        return redirect("desk:order", pk=order.pk)
    title = f"Change {order.side} {order.instrument.symbol}"
    return _ask(request, order, form, "modify", title, confirming=confirming)


def _modify(request: HttpRequest, order: Order, form: ModifyForm) -> None:
    change = services.modify(order, actor_of(request), form.cleaned_data["reason"], **form.terms())
    if change.settled_at is None:
        messages.success(request, "New terms approved and on their way.")
    else:
        messages.error(request, f"New terms refused. {change.reason}")


def _done(form: Form, act: Callable[[], None]) -> bool:
    """Act when the form is right; what the desk refuses is shown at its field."""
    if not form.is_valid():
        return False
    try:
        act()
    except BadOrder as error:
        form.add_error(error.field if error.field in form.fields else None, error.text)
    except TooLate as error:
        form.add_error(None, f"Too late: {error}.")
    return form.is_valid()


def _well(request: HttpRequest, order: Order, text: str) -> HttpResponse:
    if request.accepts("text/html"):
        messages.success(request, text)
        return redirect("desk:order", pk=order.pk)
    return JsonResponse({"ok": True, "text": text})


def _ask(
    request: HttpRequest,
    order: Order,
    form: Form,
    template: str,
    title: str,
    *,
    confirming: bool = False,
) -> HttpResponse:
    if not request.accepts("text/html"):
        return JsonResponse({"ok": False, "errors": form.errors.get_json_data()}, status=422)
    context = {"order": order, "form": form, "confirming": confirming and not form.errors}
    return show(request, template, title, **context)
