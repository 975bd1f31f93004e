"""Words of a broker made safe to keep: plain JSON, of bounded size, without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

MAX_DEPTH = 12
MAX_TEXT = 2000  # characters
MAX_RESPONSE = 8192  # characters of JSON kept of one reply
_SECRET_KEY = re.compile(r"token|secret|password|jwt|\bpin\b|totp", re.IGNORECASE)
# PostgreSQL stores neither NUL nor half a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """The text as the database can hold it."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)[:MAX_TEXT]


def storable(value: object, depth: int = 0) -> Any:  # noqa: ANN401 - JSON is any
    """Parsed JSON as plain JSON values: decimals as numbers, texts cleaned, depth bounded."""
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {clean_text(str(key)): storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item, depth + 1) for item in value]
    if isinstance(value, Decimal):
        return _number(value)
    if value is None or isinstance(value, bool | int):
        return value
    return clean_text(str(value))


class Kept(Mapping[str, Any]):
    """A row as ``storable`` makes it, made when it is first looked at: few rows of a book are."""

    def __init__(self, row: object) -> None:
        self._row = row
        self._made: dict[str, Any] | None = None

    def _whole(self) -> dict[str, Any]:
        if self._made is None:
            self._made = storable(self._row)
        return self._made

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - JSON is any
        return self._whole()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole())

    def __len__(self) -> int:
        return len(self._whole())

    def __repr__(self) -> str:
        return repr(self._whole())


def _number(value: Decimal) -> float | str:
    if not value.is_finite() or abs(value.adjusted()) > 15:
        return clean_text(str(value))
    return float(value)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret replaced by stars; short words are matched whole only."""
    for secret in secrets:
        if secret:
            text = re.sub(rf"(?<![0-9A-Za-z]){re.escape(secret)}(?![0-9A-Za-z])", "***", text)
    return text


def redacted(body: object, secrets: Iterable[str]) -> Any:  # noqa: ANN401 - JSON is any
    """A reply as it may be kept in the journal: no secrets, at most about 8 kB."""
    kept = _starred(storable(body), tuple(secrets))
    text = json.dumps(kept, ensure_ascii=False)
    return kept if len(text) <= MAX_RESPONSE else {"cut": text[:MAX_RESPONSE]}


def _starred(value: Any, secrets: tuple[str, ...]) -> Any:  # noqa: ANN401 - JSON is any
    if isinstance(value, dict):
        return {
            without_secrets(key, secrets): "***"
            if _SECRET_KEY.search(key)
            else _starred(item, secrets)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_starred(item, secrets) for item in value]
    return without_secrets(value, secrets) if isinstance(value, str) else value
