"""Large entries wait for a second person, and are then reviewed again as if they were new.

A waiting order has no hold: nothing is allowed yet, and the review at its approval counts all
that the account does by then. The gate's own rule says which orders need this; nothing here can
issue a permit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from apps.brokers.port import Intent
from apps.orders import lifecycle, queue
from apps.orders.inputs import refresh_inputs
from apps.orders.lifecycle import Happening
from apps.orders.models import Order
from apps.orders.states import Event, Status
from apps.risk import approvals, gate
from apps.risk.approvals import CannotCarryOut, Facts, Kind, NotAllowed
from apps.risk.models import Approval, Decision, Verdict

if TYPE_CHECKING:
    from apps.orders.services import Actor

KIND = "ORDER"
ORIGIN = "approval"
_DROPPED = {
    Verdict.EXPIRED: Event.LAPSE,
    Verdict.WITHDRAWN: Event.WITHDRAW,
}


def answer(order: Order, decision: Decision, actor: Actor) -> None:
    """Let a new order follow its review: approved, denied, or waiting for a second person."""
    if not decision.lacks_only_approval:
        lifecycle.apply_to(order, _answer(decision, actor.name))
        return
    why = _ask(order, decision, actor)
    happening = Happening(
        event=Event.DENY if why else Event.ASK_APPROVAL,
        origin="gate",
        text=f"{decision.reasons}{why}",
        actor=actor.name,
        decision_id=decision.pk,
    )
    lifecycle.apply_to(order, happening)


def approve_and_claim(order: Order, decision: Decision, actor: Actor, claim_id: UUID) -> None:
    """The same for a yes whose call is already written down for its sender."""
    lifecycle.approved_and_sending(order, _answer(decision, actor.name), claim_id)


def ring_once_committed(order: Order) -> None:
    """Ring the workers for an order that was approved."""
    if order.status == Status.APPROVED:
        order_id, exiting = order.pk, order.intent == Intent.EXIT
        transaction.on_commit(lambda: queue.ring_dispatch(order_id, exiting=exiting))


def withdraw(order: Order, name: str, reason: str) -> bool:
    """Take back the request for approval; the order is cancelled with it. False when decided."""
    asked = Approval.objects.filter(kind=KIND, subject=subject_of(order), decision="").first()
    return asked is not None and approvals.withdraw(asked.pk, name, reason)


def subject_of(order: Order) -> str:
    """What an approval of it names: one yes is for the whole, not for each of its slices."""
    parent = order.parent if order.slice_number is not None else None
    return order.correlation_id if parent is None else parent.public_id


def _ask(order: Order, decision: Decision, actor: Actor) -> str:
    """Ask for the approval; the text says why nobody can be asked."""
    if actor.user is None:
        return "; no person asked for this order, so nobody can be the second"
    payload = {"request": decision.request, "value": decision.inputs["value"]}
    payload["limit"] = decision.inputs["limits"]["approval_above_value"]
    try:
        approvals.request(KIND, subject_of(order), payload, actor.user, order.cause)
    except NotAllowed as error:
        return f"; {error}"
    return ""


def _answer(decision: Decision, name: str) -> Happening:
    """What the decision does to the order."""
    return Happening(
        event=Event.APPROVE if decision.allowed else Event.DENY,
        origin="gate",
        text=decision.reasons,
        actor=name,
        decision_id=decision.pk,
        columns={"decide_by": decision.expires_at} if decision.allowed else {},
    )


def _carry_out(approval: Approval) -> str:
    """Review the order as it is against everything as it is now."""
    order = lifecycle.locked(_order(approval).pk)
    if order.status != Status.AWAITING_APPROVAL:
        raise CannotCarryOut(f"the order is {order.status}")
    request = order.request()
    if request.as_json() != approval.payload["request"]:
        raise CannotCarryOut("the order is not the one that was approved")
    decision = gate.review(request)
    both = f"{approval.decided_by}, asked by {approval.requested_by}"[:150]
    lifecycle.apply_to(order, _answer(decision, both))
    ring_once_committed(order)
    return "approved and on its way" if decision.allowed else f"denied: {decision.reasons}"


def _drop(approval: Approval, why: str) -> None:
    order = _order(approval)
    if order.status != Status.AWAITING_APPROVAL:
        return
    event = _DROPPED.get(Verdict(approval.decision), Event.DENY)
    by = approval.decided_by.get_username() if approval.decided_by else ""
    text = f"{by} refused: {why}" if approval.decision == Verdict.REFUSED else why
    lifecycle.apply(order.pk, Happening(event=event, origin=ORIGIN, text=text, actor=by))


def _order(approval: Approval) -> Order:
    """Of a whole, the slice that asked: the next one waits until this one is decided."""
    rows = Order.objects.select_related("account", "instrument", "parent")
    named = Q(correlation_id=approval.subject) | Q(parent__public_id=approval.subject)
    found = rows.filter(named).order_by("-slice_number").first()
    if found is None:
        raise Order.DoesNotExist(f"no order {approval.subject}")
    return found


def _facts(approval: Approval) -> Facts:
    order, payload = _order(approval), approval.payload
    return [
        ("What", order.in_words),
        *_of_the_whole(order),
        ("Type", order.type_words),
        ("Account", f"{order.account.name} ({order.account.environment})"),
        ("Value", f"₹{payload['value']}, above ₹{payload['limit']}"),
    ]


def _of_the_whole(order: Order) -> Facts:
    parent = order.parent if order.slice_number is not None else None
    if parent is None:
        return []
    return [("Whole", f"{parent.side} {parent.total} in {len(parent.plan)} orders")]


def _refresh(approval: Approval) -> None:
    order = _order(approval)
    refresh_inputs(order.account, order.instrument, order.request())


def register() -> None:
    """Make the kind known."""
    kind = Kind(KIND, "Large order", "orders.place_order", _carry_out, _drop, _facts, _refresh)
    approvals.register(kind)
