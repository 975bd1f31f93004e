"""A row of the file as it may be kept: JSON opened, secrets starred, and of bounded size."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apps.brokers.storable import MAX_DEPTH, MAX_RESPONSE
from apps.orders.legacy.rows import Row

_KEYS = (
    r"token|secret|passw|pwd|jwt|\bpin\b|totp|bearer|authori[sz]ation|cookie|(?:api|private).?key"
)
# One of these is in every text that the next pattern finds.
_WORDS = (
    "token", "secret", "passw", "pwd", "jwt", "pin", "totp", "bearer", "authori", "cookie", "key",
    "eyj",
)  # fmt: skip
_SECRET = re.compile(rf"{_KEYS}|\beyJ", re.IGNORECASE)
_SECRET_KEY = re.compile(_KEYS, re.IGNORECASE)
_JWT = re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]*){0,2}")
# A key and its value in a text that is no JSON: what a program prints of a dictionary, a header, a
# query. Quotes may be escaped; after a quoted key a comma may stand, as in a list of pairs. All
# repeats are bounded: a text made for it must not take hours.
_PAIR = re.compile(
    rf"((?:{_KEYS})[\w.-]{{0,40}}(?:[\"'\\]{{0,40}}\s{{0,9}}[:=]|[\"'\\]{{1,40}}\s{{0,9}},"
    r"|(?<=bearer)\s)"
    r"\s{0,9}(?:bearer\s{1,9})?[\"'\\]{0,40})"
    r"((?<=\")[^\"\\]+|(?<=')[^'\\]+|[^\s\"',;&}\\]+)",
    re.IGNORECASE,
)
_STARS = "***"
_OPENERS = frozenset('{[" \t\r\n')
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LEAST = 200  # characters of JSON that a column keeps in a row that is cut


def content(row: Row) -> tuple[str, bool]:
    """The row as JSON, at most about 8 kB, and whether something was cut from it."""
    said = {name: _opened(value) for name, value in row.items() if value is not None}
    try:
        text = json.dumps(said, ensure_ascii=False, allow_nan=False)
        if _is_plain(text):
            return text, False
    except (TypeError, ValueError, RecursionError):
        pass
    safe = {clean_key(name): _safe(name, value) for name, value in said.items()}
    text = json.dumps(safe, ensure_ascii=False)
    if len(text) <= MAX_RESPONSE:
        return text, "…" in text and _is_cut(safe)
    return json.dumps(_cut(safe), ensure_ascii=False), True


def _is_plain(text: str) -> bool:
    """True of JSON that can be kept as it is; nearly every row is such, so it must be quick."""
    if len(text) > MAX_RESPONSE or "\\u0000" in text:
        return False
    if not text.isascii() and _UNSTORABLE.search(text):
        return False
    low = text.lower()
    return not any(word in low for word in _WORDS) or not _SECRET.search(text)


def clean_key(name: object) -> str:
    """A name as the database can hold it."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", str(name))


def _opened(value: object) -> object:
    """JSON in a text as what it says, also where it was written as JSON twice."""
    if not isinstance(value, str) or value[:1] not in _OPENERS:
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return value
    if isinstance(found, str):
        deeper = _opened(found)
        return value if deeper is found else deeper
    return found


def _safe(key: object, value: object, depth: int = 0) -> Any:  # noqa: ANN401 - JSON is any
    """The value in plain JSON without secrets."""
    if _SECRET_KEY.search(str(key)):
        return _STARS
    if isinstance(value, str):
        return _safe_text(value, depth)
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {clean_key(name): _safe(name, item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_safe("", item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | Decimal) and math.isfinite(value):
        return float(value)
    return clean_key(value)


def _safe_text(text: str, depth: int) -> Any:  # noqa: ANN401 - JSON is any
    if not _SECRET.search(text):
        return clean_key(text)
    opened = _opened(text)
    if opened is not text:
        return _safe("", opened, depth + 1)
    return clean_key(_JWT.sub(_STARS, _PAIR.sub(rf"\1{_STARS}", text)))


def _is_cut(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_is_cut(item) for item in value.values())
    return any(_is_cut(item) for item in value) if isinstance(value, list) else value == "…"


def _cut(row: dict[str, Any]) -> dict[str, Any]:
    """Every column keeps its beginning: the short ones all of it, the long ones share the rest."""
    sizes = {name: len(json.dumps(value, ensure_ascii=False)) for name, value in row.items()}
    left, share = MAX_RESPONSE, {}
    for number, name in enumerate(sorted(sizes, key=sizes.__getitem__)):
        share[name] = max(_LEAST, left // (len(sizes) - number))
        left -= min(sizes[name], share[name])
    return {
        name: value
        if sizes[name] <= share[name]
        else {"cut": json.dumps(value, ensure_ascii=False)[: share[name]]}
        for name, value in row.items()
    }
