"""The page of an order that is sent in slices, and what can be asked of the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_safe

from apps.desk import rights
from apps.desk.forms import ReasonForm
from apps.desk.pages import actor_of, desk_page, done, from_dialog, refused, show
from apps.orders import slices, wholes
from apps.orders.models import Progress, Slicing
from apps.orders.services import TooLate
from apps.orders.words import PROGRESS, average_of


@desk_page("orders.view_order")
@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """The whole, its slices and its history; asks for its parts again every few seconds."""
    whole = _whole(pk)
    context = _context(request, whole)
    if "parts" in request.GET:
        return render(request, "desk/whole_parts.html", context)
    return show(request, "whole", f"{whole.side} {whole.instrument.symbol} in slices", **context)


def _whole(pk: int) -> Slicing:
    return get_object_or_404(Slicing.objects.select_related("account", "instrument"), pk=pk)


def _context(request: HttpRequest, whole: Slicing) -> dict[str, Any]:
    orders = wholes.slices_of(whole)
    seen = wholes.standing_of(whole, orders)
    its = rights.of(request.user)
    stopped = whole.status == Progress.STOPPED
    return {
        "whole": whole,
        "orders": orders,
        "seen": seen,
        "average": average_of(orders),
        "waiting": _not_placed(whole, len(orders)),
        "tone": PROGRESS[Progress(whole.status)][0],
        "explained": PROGRESS[Progress(whole.status)][1],
        "history": whole.events.all(),
        "can_resume": its.may_place and stopped,
        "can_drop": its.may_place and stopped,
        "can_cancel": its.may_cancel and _can_cancel(whole, alive=seen.alive),
        "rights": its,
        "scopes": [whole.account.name],
    }


def _not_placed(whole: Slicing, placed: int) -> list[tuple[int, int]]:
    """Number and units of the slices that are still to come."""
    if whole.status != Progress.PLACING:
        return []
    return list(enumerate(whole.plan, 1))[placed:]


def _can_cancel(whole: Slicing, *, alive: bool) -> bool:
    return whole.cancel_wanted_at is None and (alive or not whole.over)


@desk_page("orders.view_order", "orders.place_order")
@require_http_methods(["GET", "POST"])
def resume(request: HttpRequest, pk: int, stop: int) -> HttpResponse:
    """Ask for the reason, then place what is left."""
    return _ask(request, pk, "resume", "What is left is being placed.", slices.resume, stop=stop)


@desk_page("orders.view_order", "orders.place_order")
@require_http_methods(["GET", "POST"])
def drop(request: HttpRequest, pk: int, stop: int) -> HttpResponse:
    """Ask for the reason, then give up what is left."""
    return _ask(request, pk, "drop", "What was left is given up.", slices.drop, stop=stop)


@desk_page("orders.view_order", "orders.cancel_order")
@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the reason, then cancel every slice and place no more."""
    return _ask(request, pk, "cancel", "Cancel asked for; nothing more is placed.", slices.cancel)


def _ask(
    request: HttpRequest,
    pk: int,
    act: str,
    said: str,
    do: Callable[..., Slicing],
    **seen: int,
) -> HttpResponse:
    """``seen`` is the stop that the person looked at: another one is another question."""
    whole, form = _whole(pk), ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            do(whole, actor_of(request), form.cleaned_data["reason"], **seen)
            return done(request, said, "desk:whole", whole.pk)
        except TooLate as error:
            form.add_error(None, f"Not done: {error}.")
    if from_dialog(request):
        return refused(form)
    title = f"{act.capitalize()} {whole.side} {whole.instrument.symbol}"
    context = _context(request, whole)
    return show(request, "whole_ask", title, form=form, act=act, **context)
