"""Read the body of a signal as strictly as money deserves: one meaning, or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from apps.signals.wish import DELAYED_TEXT, BadSignal, Wish, is_delayed, shown, wish_of

DEEPEST = 6
_PLACEHOLDER = re.compile(r"\{\{[^{}]{0,60}")
_SECRET = re.compile(
    r"(?:^|[_-])(?:secret|password|passphrase|token|api[_-]?key|totp|pin)s?(?:$|[_-])",
    re.IGNORECASE,
)


def read(raw: bytes) -> Wish:
    """The wish in the body. Raises ``BadSignal`` naming the field and what would be right."""
    values = _parse(_text(raw))
    for field, value in _leaves(values):
        if isinstance(value, str) and _PLACEHOLDER.search(value):
            raise BadSignal({field: _unrendered(value)})
    extra = values.get("extra")
    if isinstance(extra, dict) and is_delayed(extra.get("exchange")):
        raise BadSignal({"extra": DELAYED_TEXT})
    return wish_of(values)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSignal({"body": "must be UTF-8"}) from None


def _parse(text: str) -> dict[str, Any]:
    try:
        values = json.loads(
            text,
            object_pairs_hook=_once_each,
            parse_constant=_no_constant,
            parse_float=_decimal,
        )
    except BadSignal:
        raise
    except RecursionError:
        raise BadSignal({"body": f"is nested deeper than {DEEPEST} levels"}) from None
    except ValueError:
        hint = _unrendered(text) if _PLACEHOLDER.search(text) else "must be one JSON object"
        raise BadSignal({"body": hint}) from None
    if not isinstance(values, dict):
        raise BadSignal({"body": "must be one JSON object"})
    return values


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadSignal({shown(twice): "stands there twice"})
    return values


def _no_constant(name: str) -> NoReturn:
    raise BadSignal({"body": f"{name} is not a number"})


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise BadSignal({"body": "a number is out of range"}) from None


def _unrendered(text: str) -> str:
    found = _PLACEHOLDER.search(text)
    return f"holds a placeholder that was not filled in: {shown(found.group() if found else '')}"


def _leaves(values: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Every key and value under its top-level field, refusing what is too deep or a secret."""
    for name, value in values.items():
        yield shown(name), name
        yield from ((shown(name), leaf) for leaf in _below(value, shown(name), 2))


def _below(value: object, field: str, depth: int) -> Iterator[object]:
    if depth > DEEPEST:
        raise BadSignal({field: f"is nested deeper than {DEEPEST} levels"})
    if isinstance(value, dict):
        for name, inner in value.items():
            if _SECRET.search(name):
                raise BadSignal({field: f"{shown(name)} looks like a secret: leave it out"})
            yield name
            yield from _below(inner, field, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _below(inner, field, depth + 1)
    else:
        yield value
