"""A sender that stands still between writing its call down and speaking."""

from __future__ import annotations

import uuid

from django.db import connection, transaction

from apps.brokers.models import WireCall
from apps.orders import dispatch, lifecycle
from apps.orders.models import Order
from apps.risk import gate


class Sender:
    """Has claimed the order; ``go_on`` speaks and settles, whatever happened meanwhile."""

    def __init__(self, order: Order) -> None:
        self.turn = gate.Turn(order.correlation_id)
        with transaction.atomic():
            taken = lifecycle.take(order.pk)
            assert taken is not None, "the order is not to be sent"
            leaving = dispatch.write_down(self.turn, taken)
        assert leaving is not None, "the gate did not let it through"
        self.leaving = leaving

    @property
    def claim_id(self) -> uuid.UUID:
        return self.leaving.claim_id

    @property
    def call(self) -> WireCall:
        return self.leaving.call

    def speak(self) -> gate.Sent:
        return self.turn.speak(self.call, self.leaving.request)

    def settle(self, sent: gate.Sent) -> None:
        dispatch.settle(self.leaving.order, sent.call, sent.outcome, self.claim_id)

    def go_on(self) -> None:
        dispatch.send(self.turn, self.leaving)


def claimed_without_a_call(order: Order) -> None:
    """A row as no code of ours leaves it: SENDING, and nothing in the journal."""
    claim = uuid.uuid4()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_order SET status = 'SENDING', claim_id = %s, claimed_at = now()"
            " WHERE id = %s",
            [claim, order.pk],
        )
        cursor.execute(
            "UPDATE risk_hold SET claim_id = %s WHERE correlation_id = %s",
            [claim, order.correlation_id],
        )
    order.refresh_from_db()
