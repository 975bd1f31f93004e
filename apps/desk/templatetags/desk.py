"""The desk's words as template filters."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django import template
from django.utils import timezone

from apps.desk import timeline, words

register = template.Library()
register.filter("rupees", words.rupees)
register.filter("units", words.grouped)
register.filter("lasting", words.lasting)
register.filter("clock", words.ist)
register.filter("status_word", words.status_word)
register.filter("status_tone", words.status_tone)
register.filter("fate_tone", timeline.fate_tone)


@register.filter
def stamp(at: dt.datetime | None) -> str:
    """Indian day and time, to the second."""
    return "–" if at is None else f"{timezone.localtime(at):%d %b %H:%M:%S}"


@register.filter
def pretty(value: Any) -> str:  # noqa: ANN401
    """JSON for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str)
