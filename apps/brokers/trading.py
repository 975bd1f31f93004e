"""Door 1: everything that changes something at a broker. Only the risk gate may open it.

Each function uses up one committed journal row. It leaves what was heard on the row in memory
(``http_status`` and ``response``, redacted); completing the row is up to the caller, in the
transaction that also moves the order.
"""

from __future__ import annotations

from apps.brokers.models import Verb, WireCall
from apps.brokers.port import LegAddress, ModifyRequest, OrderRequest, Outcome, Trading
from apps.brokers.registry import adapter_of
from apps.brokers.wire import NotOnTheWire


def place(call: WireCall, request: OrderRequest) -> Outcome:
    """Place one order. Raises ``NotOnTheWire`` when the row may not be used for it."""
    return _door(call, Verb.PLACE, request.correlation_id).place(request)


def modify(call: WireCall, request: ModifyRequest) -> Outcome:
    """Change the terms of a working order; the quantity is the new total."""
    return _door(call, Verb.MODIFY, request.correlation_id).modify(request)


def cancel(call: WireCall, broker_order_id: str, part: LegAddress | None = None) -> Outcome:
    """Ask for an order to be cancelled, or a part of a bracket that the broker keeps."""
    return _door(call, Verb.CANCEL, call.correlation_id).cancel(broker_order_id, part)


def kill_switch(call: WireCall, *, on: bool) -> Outcome:
    """Turn the broker's own kill switch of the account."""
    return _door(call, Verb.CONTROL, None).kill_switch(on=on)


def _door(call: WireCall, verb: Verb, correlation_id: str | None) -> Trading:
    """Permits hang on the row's verb and order: a row of another kind must not open the door."""
    if call.verb != verb or call.correlation_id != correlation_id:
        raise NotOnTheWire(f"journal row {call.pk} was not written for this {verb}")
    return adapter_of(call.account).trading(call)
