"""The page of a bracket: its legs, what was done to it, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from apps.desk import rights, rows, units
from apps.desk.forms import BracketForm, ReasonForm
from apps.desk.pages import actor_of, desk_page, done, from_dialog, refused, show
from apps.desk.views import prices
from apps.orders import brackets
from apps.orders.models import Bracket, BracketStatus
from apps.orders.services import BadOrder, TooLate
from apps.orders.words import BRACKETS


@desk_page("orders.view_order")
@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """The bracket, its legs and its history; asks for its parts again every few seconds."""
    bracket = _bracket(pk)
    context = _context(request, bracket)
    if "parts" in request.GET:
        return render(request, "desk/bracket_parts.html", context)
    title = f"Bracket {bracket.side} {bracket.instrument.symbol}"
    return show(request, "bracket", title, **context)


def _bracket(pk: int) -> Bracket:
    return get_object_or_404(Bracket.objects.select_related("account", "instrument"), pk=pk)


def _context(request: HttpRequest, bracket: Bracket) -> dict[str, Any]:
    its = rights.of(request.user)
    unit = units.of_bracket(bracket)
    return {
        "bracket": bracket,
        "words": brackets.in_words(bracket),
        "rows": rows.of_bracket(unit, its),
        "held": unit.held,
        "tone": BRACKETS[BracketStatus(bracket.status)][0],
        "explained": BRACKETS[BracketStatus(bracket.status)][1],
        "bare": _bare(bracket),
        "history": bracket.notes.all(),
        "now": prices.seen(bracket.account, bracket.instrument),
        **rows.offers_of_bracket(bracket, its),
        "rights": its,
        "scopes": [bracket.account.name],
    }


def _bare(bracket: Bracket) -> int | None:
    """Whole seconds in which units have been held without a stop at work."""
    if bracket.exposed_since is None or bracket.over:
        return None
    return int((timezone.now() - bracket.exposed_since).total_seconds())


@desk_page("orders.view_order", "orders.place_order")
@require_http_methods(["GET", "POST"])
def leave(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the reason, then cancel its orders and leave what it holds."""
    return _ask(request, pk, "leave", "It is being left.", brackets.leave)


@desk_page("orders.view_order", "orders.cancel_order")
@require_http_methods(["GET", "POST"])
def drop(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the reason, then cancel the target and go on with the stop."""
    return _ask(request, pk, "drop", "The target is being cancelled.", brackets.drop_target)


def _ask(
    request: HttpRequest, pk: int, act: str, said: str, do: Callable[..., Bracket]
) -> HttpResponse:
    bracket, form = _bracket(pk), ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            do(bracket, actor_of(request), form.cleaned_data["reason"])
            return done(request, said, "desk:bracket", bracket.pk)
        except (TooLate, BadOrder) as error:
            form.add_error(None, f"Not done: {error}.")
    if from_dialog(request):
        return refused(form)
    title = "Leave the bracket" if act == "leave" else "Drop the target"
    return show(request, "bracket_ask", title, form=form, act=act, **_context(request, bracket))


@desk_page("orders.view_order", "orders.modify_order")
@require_http_methods(["GET", "POST"])
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """New prices of stop and target: filled in, looked at once more, sent."""
    bracket = _bracket(pk)
    form = BracketForm(bracket, request.POST or None, first=request.GET.get("leg", ""))
    valid = request.method == "POST" and form.is_valid()
    if valid and "confirmed" in request.POST:
        try:
            brackets.change(bracket, actor_of(request), form.cleaned_data["reason"], **form.terms())
            return done(request, "New prices are on their way.", "desk:bracket", bracket.pk)
        except BadOrder as error:
            form.add_error(error.field if error.field in form.fields else None, error.text)
        except TooLate as error:
            form.add_error(None, f"Not done: {error}.")
        valid = False
    context = _context(request, bracket)
    context |= {"form": form, "confirming": valid}
    return show(request, "bracket_change", "Change stop and target", **context)
