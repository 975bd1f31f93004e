"""The sending door of DhanHQ: one journal row, one request, one of four outcomes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from apps.brokers.dhan.client import DhanClient
from apps.brokers.dhan.errors import After, Complaint, complaint_in, meaning_of
from apps.brokers.dhan.mapping import modify_arguments, place_arguments
from apps.brokers.dhan.natives import (
    id_to_cancel,
    modify_native_arguments,
    place_native_arguments,
)
from apps.brokers.dhan.schemas import KillSwitchBody, OrderReply, read
from apps.brokers.dhan.supers import modify_super_arguments, place_super_arguments
from apps.brokers.dhan.words import LEG_WORD, state_of
from apps.brokers.models import WireCall
from apps.brokers.port import (
    Accepted,
    BadWire,
    BracketKind,
    Exits,
    LegAddress,
    ModifyRequest,
    NotSent,
    OrderRequest,
    Outcome,
    Refused,
    Unknown,
)
from apps.brokers.storable import clean_text, redacted
from apps.brokers.wire import Reply


class DhanTrading:
    """Place, modify and cancel through the SDK. Never raises because of what the broker says."""

    def __init__(self, call: WireCall) -> None:
        self._call = call
        self._client = DhanClient(call)

    def __repr__(self) -> str:
        return f"<DhanTrading on {self._call}>"

    def place(self, request: OrderRequest) -> Outcome:
        """Place one order; the broker's REJECTED with an id is accepted: the order exists.

        One with ``exits`` becomes a super order (super order page), which always says all three:
        target, stop and trailing; or a bracket or cover order (orders page, classic).
        """
        exits = request.exits
        if exits is None:
            return self._outcome(lambda: self._client.place_order(**place_arguments(request)))
        return self._if_it_can_be_said(lambda: self._place_bracket(request, exits))

    def modify(self, request: ModifyRequest) -> Outcome:
        """Change a working order; ``quantity`` is the new total (release notes of v2.0).

        The reply to a change of a super order's part names the whole; to that of a bracket or
        cover order's, the id that was asked about.
        """
        part = request.part
        if part is not None:
            return self._if_it_can_be_said(lambda: self._modify_part(request, part))
        return self._outcome(
            lambda: self._client.modify_order(**modify_arguments(request)),
            request.broker_order_id,
        )

    def cancel(self, broker_order_id: str, part: LegAddress | None = None) -> Outcome:
        """Cancel; the orders and super order pages document an empty 202 as a yes.

        The entry of a super order takes all of it along; target and stop never come back. The
        API has no way to name a leg of a bracket or cover order: it is cancelled by its own id,
        and without one it provably is not, for the entry's id would end the whole.
        """
        if part is not None:
            return self._if_it_can_be_said(lambda: self._cancel_part(broker_order_id, part))
        return self._cancel_order(broker_order_id)

    def kill_switch(self, *, on: bool) -> Outcome:
        """Turn the account's kill switch; refused unless it is flat (trader's control page)."""
        word = "ACTIVATE" if on else "DEACTIVATE"
        return self._outcome(lambda: self._client.kill_switch(word), understand=_switch_turned)

    def _place_bracket(self, request: OrderRequest, exits: Exits) -> Outcome:
        if exits.kind is BracketKind.NATIVE:
            plain = place_native_arguments(request, exits)
            return self._outcome(lambda: self._client.place_order(**plain))
        terms = place_super_arguments(request, exits)
        return self._outcome(lambda: self._client.place_super_order(**terms))

    def _modify_part(self, request: ModifyRequest, part: LegAddress) -> Outcome:
        if part.kind is BracketKind.NATIVE:
            plain = modify_native_arguments(request, part)
            return self._outcome(lambda: self._client.modify_order(**plain), plain["order_id"])
        terms = modify_super_arguments(request, part)
        return self._outcome(lambda: self._client.modify_super_order(**terms), part.whole_id)

    def _cancel_part(self, broker_order_id: str, part: LegAddress) -> Outcome:
        if part.kind is BracketKind.NATIVE:
            return self._cancel_order(id_to_cancel(broker_order_id, part))
        return self._outcome(
            lambda: self._client.cancel_super_order(part.whole_id, LEG_WORD[part.leg]),
            part.whole_id,
            empty_is_yes=True,
        )

    def _cancel_order(self, broker_order_id: str) -> Outcome:
        return self._outcome(
            lambda: self._client.cancel_order(broker_order_id),
            broker_order_id,
            empty_is_yes=True,
        )

    def _if_it_can_be_said(self, attempt: Callable[[], Outcome]) -> Outcome:
        """The attempt's outcome, or ``NotSent`` when the bracket cannot be put into words.

        Mapping and SDK check a bracket before anything is sent (levels on the wrong side of the
        price, say) and raise ``ValueError``. Out of this door that would leave an order in doubt
        of which the journal row knows for certain that it never left.
        """
        try:
            return attempt()
        except ValueError as error:
            if self._call.sent_at is not None:
                raise
            return NotSent(self._client.line.scrubbed(clean_text(f"cannot be sent: {error}")))

    def _outcome(
        self,
        send: Callable[[], Reply],
        asked_id: str = "",
        *,
        empty_is_yes: bool = False,
        understand: Callable[[object], Outcome] | None = None,
    ) -> Outcome:
        reply = send()
        line = self._client.line
        self._call.http_status = reply.status
        self._call.response = redacted(reply.body, line.secrets())
        outcome = outcome_of(reply, asked_id, empty_is_yes=empty_is_yes, understand=understand)
        match outcome:
            case Refused(code=code, text=text):
                return Refused(line.scrubbed(code), line.scrubbed(text))
            case NotSent(why=why, about_session=about_session):
                return NotSent(line.scrubbed(clean_text(why)), about_session)
            case Unknown(why=why):
                return Unknown(line.scrubbed(clean_text(why)))
        return outcome


def outcome_of(
    reply: Reply,
    asked_id: str = "",
    *,
    empty_is_yes: bool = False,
    understand: Callable[[object], Outcome] | None = None,
) -> Outcome:
    """Classify a reply. What is not provably a yes, a no or a non-event is ``Unknown``.

    ``understand`` reads the body of a success, and raises ``BadWire``; without it the body names
    the order that was asked about.
    """
    status = reply.status or 0
    complaint = complaint_in(reply.body)
    if reply.empty and empty_is_yes and status in (200, 202, 204):
        return Accepted(asked_id)
    if reply.trouble is not None:
        return reply.trouble
    if 200 <= status < 300:
        named = partial(_order_named, asked_id=asked_id)
        return _from_success(reply, complaint, understand or named)
    if 400 <= status < 500:
        return _from_refusal(status, reply, complaint)
    return Unknown(f"HTTP {status}: {complaint or 'no usable answer'}")


def _order_named(body: object, asked_id: str) -> Outcome:
    """The order that a reply names, which must be the one that was asked about."""
    found = read(OrderReply, body, "reply")
    if asked_id and found.order_id != asked_id:
        raise BadWire("orderId names another order")
    return Accepted(found.order_id, state_of(found.status))


def _switch_turned(body: object) -> Outcome:
    """Any sentence under the documented key is a yes; a read must still show the switch."""
    read(KillSwitchBody, body, "reply")
    return Accepted("")


def _from_success(
    reply: Reply, complaint: Complaint | None, understand: Callable[[object], Outcome]
) -> Outcome:
    if complaint is not None:
        has_id = isinstance(reply.body, dict) and bool(reply.body.get("orderId"))
        if complaint.code.startswith("DH-") and not has_id:
            return _meaning(reply.status or 0, complaint)
        return Unknown(f"HTTP {reply.status}, but it speaks of a failure: {complaint}")
    try:
        return understand(reply.body)
    except BadWire as error:
        return Unknown(f"HTTP {reply.status}, but {error}")


def _from_refusal(status: int, reply: Reply, complaint: Complaint | None) -> Outcome:
    if complaint is not None:
        return _meaning(status, complaint)
    if status == 403 and isinstance(reply.body, dict):
        return Refused("HTTP 403", "the broker does not let us in")
    return Unknown(f"HTTP {status} without an error that DhanHQ documents")


def _meaning(status: int, complaint: Complaint) -> Outcome:
    meaning = meaning_of(status, complaint)
    if meaning.after is After.NO:
        return Refused(complaint.code or f"HTTP {status}", complaint.text)
    if meaning.after is After.DOUBT:
        return Unknown(f"HTTP {status}, in doubt ({complaint})")
    if meaning.kind == "token":
        return NotSent(f"the broker does not accept the token ({complaint})", about_session=True)
    return NotSent(f"over the broker's rate limit ({complaint})")
