"""The desk's words as template filters."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django import template
from django.utils import timezone

from apps.alerts.models import SEVERITY_TONES, Severity
from apps.desk import timeline, words
from apps.orders.models import Bracket, Order, Slicing

register = template.Library()
register.filter("rupees", words.rupees)
register.filter("units", words.grouped)
register.filter("lasting", words.lasting)
register.filter("clock", words.ist)
register.filter("status_word", words.status_word)
register.filter("status_tone", words.status_tone)
register.filter("fate_tone", timeline.fate_tone)
register.filter("severity_tone", lambda word: SEVERITY_TONES[Severity(word)])


@register.filter
def stamp(at: dt.datetime | None) -> str:
    """Indian day and time, to the second."""
    return "–" if at is None else f"{timezone.localtime(at):%d %b %H:%M:%S}"


@register.filter
def ago(at: dt.datetime) -> str:
    """How long ago, in the unit that fits."""
    age = timezone.now() - at
    return "now" if age < dt.timedelta(seconds=1) else words.lasting(age)


@register.filter
def pretty(value: Any) -> str:  # noqa: ANN401
    """JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str)


@register.filter
def in_one_line(order: Order | Slicing | Bracket) -> str:
    """The order, whole or bracket as a dialog names it, with the kind of account it is on."""
    where = f"{order.account.name} ({order.account.environment.upper()})"
    quantity = order.total if isinstance(order, Slicing) else order.quantity
    return f"{order.side} {words.grouped(quantity)} {order.instrument.symbol} on {where}"


@register.filter
def terms_json(order: Order) -> str:
    """The terms that can be changed, and the text that says which ones a person saw."""
    terms = {"quantity": str(order.quantity), "seen": order.terms_in_words}
    for name in ("price", "trigger_price"):
        value = getattr(order, name)
        if value is not None:
            terms[name] = words.plain(value)
    return json.dumps(terms)
