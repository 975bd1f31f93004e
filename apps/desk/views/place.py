"""Place an order by hand: fill in, look at it once more, send. Twice sent is once placed."""

from __future__ import annotations

import re
import secrets
from decimal import Decimal

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from apps.brokers.calendar import market_for
from apps.brokers.market import Asked, refusal
from apps.brokers.models import BrokerAccount, Instrument
from apps.brokers.port import Intent
from apps.brokers.searching import suggestions
from apps.desk import exits, words
from apps.desk.forms import PlaceForm
from apps.desk.pages import actor_of, desk_page, show
from apps.desk.views import prices
from apps.orders import brackets, inputs, services
from apps.orders.models import Bracket, Order, Source
from apps.orders.services import BadOrder, OrderIntent
from apps.orders.splitting import largest, pieces_of
from apps.orders.states import Status
from apps.people.typed import row_number

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
    if form.is_bracket:
        return _place_bracket(request, form, key)
    order = _place(request, form, key)
    if order is None:
        return _show(request, form)
    if order.parent_id is not None:
        return redirect("desk:whole", pk=order.parent_id)
    return redirect("desk:order", pk=order.pk)


@desk_page("orders.view_order", "orders.place_order")
@require_safe
def leave(request: HttpRequest, pk: int) -> HttpResponse:
    """The form, filled in to close the position behind an order. Looking changes nothing."""
    orders = Order.objects.select_related("account", "instrument")
    order = get_object_or_404(orders, pk=pk)
    found = exits.way_out(order)
    said = exits.in_words(order, found)
    if not found.left:
        messages.warning(request, said)
        return redirect("desk:order", pk=order.pk)
    initial = {
        "account": order.account_id,
        "instrument": order.instrument.exact_name,
        "side": found.side,
        "quantity": found.left,
        "strategy": order.strategy,
        "product": order.product,
        "intent": Intent.EXIT,
    }
    return _show(request, PlaceForm(initial=initial), exiting=said)


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
    elif order.slice_of:
        messages.success(request, f"The first of {order.slice_of} slices is approved.")
    else:
        messages.success(request, "Order approved and on its way.")
    return order


def _place_bracket(request: HttpRequest, form: PlaceForm, key: str) -> HttpResponse:
    """The bracket, new or already placed with this key; or the form with the error."""
    known = Bracket.objects.filter(request_key=key).exists()
    reason = form.cleaned_data["reason"]
    try:
        bracket = brackets.place(form.bracket(), actor_of(request), Source.ADMIN, reason, key)
    except BadOrder as error:
        form.add_error(error.field if error.field in form.fields else None, error.text)
        return _show(request, form)
    if known:
        messages.info(request, "This bracket was placed before; nothing new was sent.")
    elif bracket.over:
        messages.error(request, "Nothing was sent: its entry was refused. The reason is below.")
    else:
        messages.success(request, "Its entry is on its way; stop and target follow its fills.")
    return redirect("desk:bracket", pk=bracket.pk)


def _show(request: HttpRequest, form: PlaceForm, exiting: str = "") -> HttpResponse:
    title = "Exit a position" if exiting else "Place order"
    return show(request, "place", title, form=form, exiting=exiting)


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
        sent_as=_sent_as(wanted),
        **_bracket(form),
        lots=_lots(wanted.quantity, wanted.instrument.lot_size),
        **_market(wanted),
        request_key=secrets.token_hex(16),
    )


def _bracket(form: PlaceForm) -> dict[str, object]:
    """The bracket that is asked for, and who would keep its ways out."""
    if not form.is_bracket:
        return {"bracket": None}
    bracket = form.bracket()
    return {"bracket": bracket, "style": brackets.style_of(bracket)}


def _market(wanted: OrderIntent) -> dict[str, object]:
    """The market at this moment, and why it would not take the order."""
    instrument = wanted.instrument
    market = market_for(wanted.account, instrument.segment, instrument.security_id)
    asked = Asked(
        order_type=inputs.SENT_AS.get(wanted.order_type, wanted.order_type),
        validity=wanted.validity,
        exiting=wanted.intent is Intent.EXIT,
        after_market=wanted.after_market,
    )
    return {"market": market, "not_taken": refusal(market, asked)}


def _value(price: Decimal | None, quantity: int) -> str:
    return "not known: no price yet" if price is None else words.rupees(price * quantity)


def _sent_as(wanted: OrderIntent) -> str:
    """How many orders it takes, when one would be above the freeze quantity; else empty."""
    lot, freeze = wanted.instrument.lot_size, wanted.instrument.freeze_quantity
    count = pieces_of(wanted.quantity, lot, freeze)
    if count == 1 or freeze is None:
        return ""
    most = largest(lot, freeze)
    last = wanted.quantity - most * (count - 1)
    if last == most:
        return f"{words.grouped(count)} orders of {words.grouped(most)}"
    but_one, of_most = words.grouped(count - 1), words.grouped(most)
    return f"{words.grouped(count)} orders: {but_one} of {of_most}, one of {words.grouped(last)}"


def _lots(quantity: int, lot_size: int) -> str:
    whole, rest = divmod(quantity, lot_size)
    if rest:
        return f"not whole lots of {words.grouped(lot_size)}"
    return f"{words.grouped(whole)} lot{'' if whole == 1 else 's'} of {words.grouped(lot_size)}"


@desk_page("orders.place_order")
@require_safe
def instruments(request: HttpRequest) -> JsonResponse:
    """What can be traded and is probably meant, the nearest expiry first."""
    found = suggestions(request.GET.get("q", ""), timezone.localdate(), SUGGESTIONS)
    account = _account(request.GET.get("account", ""))
    return JsonResponse({"instruments": [_suggestion(row, account) for row in found]})


def _account(pk: str) -> BrokerAccount | None:
    number = row_number(pk)
    return None if number is None else BrokerAccount.objects.filter(pk=number).first()


def _suggestion(row: Instrument, account: BrokerAccount | None) -> dict[str, object]:
    market = market_for(account, row.segment, row.security_id) if account else None
    return {
        "value": row.exact_name,
        "symbol": row.symbol,
        "about": " · ".join(filter(None, [row.segment, row.name])),
        "lot": row.lot_size,
        "market": market.sentence() if market else "",
        "facts": f"Lot {words.grouped(row.lot_size)}, tick {words.rupees(row.tick_size)}",
    }
