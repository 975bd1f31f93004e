"""What people and programs type where a number is meant."""

from __future__ import annotations


def row_number(text: str) -> int | None:
    """The key of a row that a text names, as the database can hold it; None when it names none."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return None
