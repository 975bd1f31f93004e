"""Door 1: everything that changes something at a broker. Only the risk gate may open it.

Each function uses up one committed journal row. It leaves what was heard on the row in memory
(``http_status`` and ``response``, redacted); completing the row is up to the caller, in the
transaction that also moves the order.
"""

from __future__ import annotations

from apps.brokers.models import WireCall
from apps.brokers.port import ModifyRequest, OrderRequest, Outcome, Trading
from apps.brokers.registry import adapter_of


def place(call: WireCall, request: OrderRequest) -> Outcome:
    """Place one order. Raises ``NotOnTheWire`` when the row may not be used."""
    return _door(call).place(request)


def modify(call: WireCall, request: ModifyRequest) -> Outcome:
    """Change the terms of a working order; the quantity is the new total."""
    return _door(call).modify(request)


def cancel(call: WireCall, broker_order_id: str) -> Outcome:
    """Ask for an order to be cancelled."""
    return _door(call).cancel(broker_order_id)


def _door(call: WireCall) -> Trading:
    return adapter_of(call.account).trading(call)
