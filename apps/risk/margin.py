"""What a decision may know of margin: what the request ties up, what is free, what is promised."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import connection

from apps.brokers.ages import age_of
from apps.brokers.margins import digest
from apps.brokers.models import BrokerAccount
from apps.brokers.port import Intent, OrderRequest
from apps.risk import book
from apps.risk.rules import Limits

# What is free is the newest that the broker told. A hold is promised on top of what the broker has
# counted unless the exchange showed its order before the broker told. One that ended since then
# has taken the margin of what it filled.
_LOOK = """
    SELECT estimate.required, estimate.as_of, told.available, own.margin, promised.margin
    FROM brokers_brokeraccount account
    LEFT JOIN brokers_marginestimate estimate
           ON estimate.account_id = account.id AND estimate.terms = %(terms)s
    LEFT JOIN brokers_fundsreport funds ON funds.account_id = account.id
    LEFT JOIN risk_hold own ON own.account_id = account.id AND own.correlation_id = %(own)s
    LEFT JOIN LATERAL (
        SELECT * FROM (VALUES (funds.mark, funds.available), (estimate.mark, estimate.available))
            AS known (mark, available)
        WHERE known.mark IS NOT NULL AND known.available IS NOT NULL
        ORDER BY known.mark DESC, known.available DESC LIMIT 1
    ) told ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(
            CASE WHEN released_at IS NULL THEN hold.margin
                 ELSE hold.margin * filled / greatest(quantity, 1) END
        ), 0) AS margin
        FROM risk_hold hold
        WHERE hold.account_id = account.id AND hold.margin IS NOT NULL
          AND taken_at >= %(midnight)s AND hold.correlation_id <> %(own)s
          AND (reached_mark IS NULL OR reached_mark >= coalesce(told.mark, 0))
          AND (released_mark IS NULL OR released_mark >= coalesce(told.mark, 0))
    ) promised
    WHERE account.id = %(account)s
"""


def facts(
    account: BrokerAccount, request: OrderRequest, limits: Limits | None, changes: str | None
) -> dict[str, Any]:
    """The snapshot's words on margin, in one statement; none where no rule will ask."""
    if limits is None or not limits.check_margin or request.intent is Intent.EXIT:
        return {}
    values: dict[str, Any] = {"account": account.pk, "midnight": book.midnight()}
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, values | {"terms": digest(request), "own": changes or ""})
        required, as_of, available, held, promised = cursor.fetchone()
    if required is not None:
        required = max(required - (held or Decimal(0)), Decimal(0))
    return {
        "margin_required": required,
        "margin_age": age_of(as_of),
        "margin_available": available,
        "margin_reserved": round(promised, 2),
    }
