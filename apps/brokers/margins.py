"""What an order would tie up: the broker's calculator is asked once for the same terms."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import Any

from django.utils import timezone

from apps.brokers.journal import moment
from apps.brokers.models import BrokerAccount, MarginEstimate
from apps.brokers.port import OrderRequest
from apps.brokers.reporting import reports_of

_TERMS = (
    "segment",
    "security_id",
    "side",
    "quantity",
    "product",
    "order_type",
    "price",
    "trigger_price",
)
_KEPT_FOR = dt.timedelta(days=2)


def refresh(account: BrokerAccount, request: OrderRequest, good_for: float) -> None:
    """Ask the calculator, unless its answer for these terms is at most ``good_for`` seconds old.

    Raises ``ReadFailed``; the old answer stays. Never call inside a transaction.
    """
    now = timezone.now()
    same = MarginEstimate.objects.filter(account=account, terms=digest(request))
    since = now - dt.timedelta(seconds=good_for)
    if same.filter(as_of__gte=since, as_of__lte=now).exists():
        return
    mark = moment()
    known = reports_of(account, retries=False).margin([request])
    columns: dict[str, Any] = {
        "asked": _asked(request),
        "required": known.value.required,
        "available": known.value.available,
        "raw": known.value.raw,
        "as_of": known.as_of,
        "mark": mark,
    }
    _, created = MarginEstimate.objects.get_or_create(
        account=account, terms=digest(request), defaults=columns
    )
    if not created:
        same.filter(mark__lt=mark).update(**columns)


def digest(request: OrderRequest) -> str:
    """The same text for the same terms, whoever asks and under whatever correlation id."""
    text = json.dumps(_asked(request), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _asked(request: OrderRequest) -> dict[str, Any]:
    plain = request.as_json()
    return {name: plain[name] for name in _TERMS}


def forget_old() -> int:
    """Delete answers that nobody will ask for again."""
    return MarginEstimate.objects.filter(as_of__lt=timezone.now() - _KEPT_FOR).delete()[0]
