"""Place an order by hand: fill in, look at it once more, send. Twice sent is once placed."""

from __future__ import annotations

import re
import secrets
from decimal import Decimal

from django.contrib import messages
from django.db.models import F
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from apps.brokers.models import Instrument
from apps.desk import words
from apps.desk.forms import PlaceForm
from apps.desk.pages import actor_of, desk_page, show
from apps.desk.views import prices
from apps.orders import inputs, services
from apps.orders.models import Order, Source
from apps.orders.services import BadOrder
from apps.orders.states import Status

SUGGESTIONS = 20
_KEY = re.compile(r"[0-9a-f]{32}")


@desk_page("orders.place_order")
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The form; after the first POST the question; after the second the order."""
    if request.method == "GET":
        return _show(request, PlaceForm(initial=request.GET.dict()))
    form = PlaceForm(request.POST)
    if not form.is_valid() or "back" in request.POST:
        return _show(request, form)
    key = request.POST.get("request_key", "")
    if "confirmed" not in request.POST or not _KEY.fullmatch(key):
        return _confirm(request, form)
    order = _place(request, form, key)
    if order is None:
        return _show(request, form)
    return redirect("desk:order", pk=order.pk)


def _place(request: HttpRequest, form: PlaceForm, key: str) -> Order | None:
    """The order, new or already placed with this key; None with the error on the form."""
    known = Order.objects.filter(request_key=key).exists()
    try:
        order = services.place(
            form.wanted(), actor_of(request), Source.ADMIN, form.cleaned_data["reason"], key
        )
    except BadOrder as error:
        form.add_error(error.field if error.field in form.fields else None, error.text)
        return None
    if known:
        messages.info(request, "This order was placed before; nothing new was sent.")
    elif order.status == Status.DENIED:
        messages.error(request, "Denied by risk; nothing was sent. The reasons are below.")
    elif order.status == Status.AWAITING_APPROVAL:
        messages.info(request, "Not sent yet: a second person must approve it.")
    else:
        messages.success(request, "Order approved and on its way.")
    return order


def _show(request: HttpRequest, form: PlaceForm) -> HttpResponse:
    return show(request, "place", "Place order", form=form)


def _confirm(request: HttpRequest, form: PlaceForm) -> HttpResponse:
    """Say what would be sent, where and what it is worth; the key makes the answer count once."""
    wanted = form.wanted()
    now = prices.seen(wanted.account, wanted.instrument)
    limit = inputs.limit_now(wanted) if wanted.price is None else wanted.price
    price = limit or (now.quote.last_price if now.quote else None)
    return show(
        request,
        "place_confirm",
        "Send this order?",
        form=form,
        wanted=wanted,
        now=now,
        limit=limit,
        value=_value(price, wanted.quantity),
        lots=_lots(wanted.quantity, wanted.instrument.lot_size),
        request_key=secrets.token_hex(16),
    )


def _value(price: Decimal | None, quantity: int) -> str:
    return "not known: no price yet" if price is None else words.rupees(price * quantity)


def _lots(quantity: int, lot_size: int) -> str:
    whole, rest = divmod(quantity, lot_size)
    if rest:
        return f"not whole lots of {words.grouped(lot_size)}"
    return f"{words.grouped(whole)} lot{'' if whole == 1 else 's'} of {words.grouped(lot_size)}"


@desk_page("orders.place_order")
@require_safe
def instruments(request: HttpRequest) -> JsonResponse:
    """Instruments whose symbol or name holds every word, the nearest expiry first."""
    found = Instrument.objects.filter(tradable=True)
    asked = request.GET.get("q", "").split()[:6]
    for word in asked:
        found = found.filter(symbol__icontains=word) | found.filter(name__icontains=word)
    if not asked:
        found = found.none()
    today = timezone.localdate()
    living = found.exclude(expiry__lt=today).order_by(F("expiry").asc(nulls_first=True), "symbol")
    return JsonResponse({"instruments": [_suggestion(row) for row in living[:SUGGESTIONS]]})


def _suggestion(row: Instrument) -> dict[str, object]:
    return {
        "value": f"{row.segment}:{row.security_id}:{row.symbol}",
        "symbol": row.symbol,
        "about": " · ".join(filter(None, [row.segment, row.name])),
        "lot": row.lot_size,
        "facts": f"Lot {words.grouped(row.lot_size)}, tick {words.rupees(row.tick_size)}",
    }
