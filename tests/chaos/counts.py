"""Which of the judge's counts say that something is wrong."""

from __future__ import annotations

MUST_BE_NONE = (
    *("doubled", "lost", "unproven", "unknown", "holds_leaked"),
    *("crossed", "breaks", "unclosed", "miscounted"),
)
