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

_LOOK = """
    SELECT estimate.required, estimate.as_of, estimate.available, estimate.mark,
           funds.available, funds.mark, own.margin
    FROM brokers_brokeraccount account
    LEFT JOIN brokers_marginestimate estimate
           ON estimate.account_id = account.id AND estimate.terms = %s
    LEFT JOIN brokers_fundsreport funds ON funds.account_id = account.id
    LEFT JOIN risk_hold own ON own.account_id = account.id AND own.correlation_id = %s
    WHERE account.id = %s
"""
# A hold is promised on top of what the broker has counted unless the exchange showed its order
# before the funds were read. One that ended since then has taken the margin of what it filled.
_PROMISED = """
    SELECT coalesce(sum(CASE WHEN released_at IS NULL THEN margin
                             ELSE margin * filled / greatest(quantity, 1) END), 0)
    FROM risk_hold
    WHERE account_id = %(account)s AND margin IS NOT NULL AND taken_at >= %(midnight)s
      AND correlation_id <> %(own)s
      AND (reached_mark IS NULL OR reached_mark >= %(mark)s)
      AND (released_mark IS NULL OR released_mark >= %(mark)s)
"""


def facts(
    account: BrokerAccount, request: OrderRequest, limits: Limits | None, changes: str | None
) -> dict[str, Any]:
    """The snapshot's words on margin; none where no rule will ask."""
    if limits is None or not limits.check_margin or request.intent is Intent.EXIT:
        return {}
    own = changes or ""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [digest(request), own, account.pk])
        required, as_of, told, told_mark, funds, funds_mark, held = cursor.fetchone()
        newest = max(
            (known for known in ((funds_mark, funds), (told_mark, told)) if None not in known),
            default=(0, None),
        )
        values: dict[str, Any] = {"account": account.pk, "midnight": book.midnight(), "own": own}
        cursor.execute(_PROMISED, values | {"mark": newest[0]})
        promised: Decimal = cursor.fetchone()[0]
    if required is not None:
        required = max(required - (held or Decimal(0)), Decimal(0))
    return {
        "margin_required": required,
        "margin_age": age_of(as_of),
        "margin_available": newest[1],
        "margin_reserved": round(promised, 2),
    }
