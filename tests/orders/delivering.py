"""A share that was bought yesterday lies in the depository today."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import F

from apps.brokers.models import BrokerAccount
from apps.orders.models import Order, trading_day
from apps.risk.models import Hold

ISIN = "INE002A01018"
SHARE = {"segment": "NSE_EQ", "securityId": "2885"}


def in_the_depository(exchange: Any, account: BrokerAccount, units: int) -> None:
    """So many units of RELIANCE, bought before the desk was there."""
    put = {"client_id": account.client_id, **SHARE, "quantity": units, "avgCostPrice": 1200}
    assert "error" not in exchange.control("holdings", **put)


def authority(exchange: Any, account: BrokerAccount, **given: Any) -> None:
    """``ddpi=True``, or ``approved=`` units of RELIANCE for today."""
    if "approved" in given:
        given["isin"] = ISIN
    assert "error" not in exchange.control("delivery", client_id=account.client_id, **given)


def night(exchange: Any, account: BrokerAccount, delivered: int) -> None:
    """Nothing but holdings is left at the exchange, and everything here was yesterday."""
    day = dt.timedelta(days=1)
    Order.objects.update(trading_day=trading_day() - day)
    Hold.objects.update(taken_at=F("taken_at") - day)
    exchange.reset()
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    exchange.control("auto", on=True)
    if delivered:
        in_the_depository(exchange, account, delivered)
