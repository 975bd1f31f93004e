"""The last price of one instrument for a page that watches it; watching makes the desk listen."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from apps.brokers import quotes
from apps.brokers.finding import NotFound, find_instrument
from apps.brokers.models import BrokerAccount, Instrument, Quote
from apps.desk import words
from apps.desk.pages import desk_page
from apps.risk.models import RiskPolicy

WATCHED_FOR = dt.timedelta(seconds=60)  # renewed by a page for as long as it is looked at


@dataclass(frozen=True)
class Seen:
    """What a page says of a price. ``fresh`` is what the account's limits call fresh."""

    quote: Quote | None
    fresh: bool
    text: str


def seen(account: BrokerAccount, instrument: Instrument) -> Seen:
    """The last price of the account's market, with its age."""
    quote = quotes.quote_of(instrument, account.market)
    if quote is None or quote.age is None:
        return Seen(quote, False, "no price heard yet")
    policy = RiskPolicy.in_force(account)
    fresh = policy is not None and quote.age <= policy.max_quote_age
    age = words.lasting(dt.timedelta(seconds=quote.age))
    text = f"{words.rupees(quote.last_price)}, {age} ago"
    return Seen(quote, fresh, text + _best(quote) + ("" if fresh else "; too old to act on"))


def _best(quote: Quote) -> str:
    known = quote.depth(within=60)
    if known is None or not (known.value[0] and known.value[1]):
        return ""
    bid, ask = known.value[0][0], known.value[1][0]
    return (
        f"; bid {words.rupees(bid.price)} × {words.grouped(bid.quantity)}"
        f", ask {words.rupees(ask.price)} × {words.grouped(ask.quantity)}"
    )


@desk_page("orders.view_order")
@require_POST
def watch(request: HttpRequest, account: int) -> JsonResponse:
    """Listen to the instrument for another minute, and say what is known of it now."""
    wanted = get_object_or_404(BrokerAccount, pk=account)
    try:
        instrument = find_instrument(request.POST.get("instrument", ""))
    except NotFound as error:
        return JsonResponse({"ok": False, "errors": {"instrument": str(error)}}, status=422)
    quotes.wish([instrument], wanted.market, WATCHED_FOR)
    now = seen(wanted, instrument)
    return JsonResponse({"ok": True, "text": now.text, "fresh": now.fresh})
