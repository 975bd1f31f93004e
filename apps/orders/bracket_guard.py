"""The guardian of brackets: one look at a bracket's orders, then what the machine says is due.

Level-triggered: rung by every change of an order of a bracket, by the sweep every second and by
``guard``. A look that dies is made up for by the next one; every order has a key that it can be
placed under once.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import structlog
from django.conf import settings
from django.utils import timezone

from apps.alerts.models import Alert, Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.brokers.locks import turn_if_free
from apps.brokers.port import Intent, OrderType, Product, Side
from apps.orders import announce, bracket_terms, queue, services
from apps.orders.bracket_machine import Do, Part, Patience, Sight, Step, decide, is_odd, waits
from apps.orders.bracket_sight import (
    Orders,
    key_of,
    orders_of,
    price_now,
    show_legs,
    sight_of,
)
from apps.orders.bracket_terms import GUARDIAN
from apps.orders.models import (
    PREFIX,
    Bracket,
    BracketStatus,
    Order,
    Source,
    trading_day,
)
from apps.orders.services import Actor, BadOrder, OrderIntent, TooLate
from apps.orders.states import AT_BROKER

log = structlog.get_logger(__name__)
NEVER_PLACED = dt.timedelta(seconds=30)  # after which a bracket without an entry is given up
ASK_AFTER = 1.5  # seconds without a stop at work, or out of step, before the books are asked
ALERTS = ("reverse", "exposed", "target", "waits", "broke")


def patience() -> Patience:
    """The house's times, from the settings."""
    return Patience(
        broker=settings.BRACKET_BROKER_TIME,
        protect_within=settings.BRACKET_PROTECT_WITHIN,
        leave_after=settings.BRACKET_LEAVE_AFTER,
        gap_for=settings.BRACKET_GAP_FOR,
        loud_after=settings.FLATTEN_LOUD_AFTER,
        tries=settings.BRACKET_TRIES,
    )


def due() -> list[int]:
    """Brackets to look at: those not over, and those of today whose orders had news since."""
    orders = Order.objects.filter(trading_day=trading_day(), request_key__startswith=PREFIX)
    newest: dict[int, dt.datetime] = {}
    for order in orders.exclude(news_at=None).only("request_key", "news_at"):
        number, at = order.bracket_number, order.news_at
        if number is not None and at is not None:
            newest[number] = max(at, newest.get(number, at))
    ours = Bracket.objects.filter(origin=None)
    alive = ours.exclude(status=BracketStatus.OVER).values_list("pk", flat=True)
    over = ours.filter(pk__in=newest, status=BracketStatus.OVER)
    late = [pk for pk, at in over.values_list("pk", "looked_at") if at is None or at < newest[pk]]
    return [*alive, *late]


def ring_due() -> None:
    """Ring for every bracket to be looked at."""
    for bracket_id in due():
        queue.ring_bracket(bracket_id)


def tend_due() -> None:
    """Look at every bracket; one that breaks is told, the others go on."""
    for bracket_id in due():
        tend(bracket_id)


def tend(bracket_id: int) -> None:
    """One look at one bracket; one look at a time."""
    with turn_if_free(f"{PREFIX}{bracket_id}") as mine:
        if not mine:
            return
        bracket = Bracket.objects.select_related("account", "instrument").get(pk=bracket_id)
        if bracket.origin_id is not None:
            return
        try:
            _look(bracket)
        except Exception as error:
            log.exception("bracket broke", bracket=bracket.pk)
            text = f"the guardian of {bracket.name} broke: {type(error).__name__}"
            raise_alert(f"{bracket.name}:broke", text, Severity.CRITICAL)
        announce.bracket(bracket)


def _look(bracket: Bracket) -> None:
    orders = orders_of(bracket)
    if not orders[Part.ENTRY]:
        _give_up_without_entry(bracket)
        return
    began = timezone.now()
    seen = _clocked(bracket, orders, sight_of(bracket, orders))
    doubt = max(seen.exposed_for, seen.odd_for)
    if ASK_AFTER <= doubt <= settings.BRACKET_LEAVE_AFTER:
        queue.ring_reconcile(bracket.account_id)  # news of its stop may have been lost
    steps = decide(seen, patience())
    if bracket.over:
        steps = [step for step in steps if step.do is not Do.FINISH]  # late news, flat as it was
    for step in steps:
        _do(bracket, orders, seen, step)
    if not seen.leaving and not any(step.do is Do.LEAVE for step in steps):
        busy = {step.part for step in steps}
        bracket_terms.trail(bracket, orders, seen)
        bracket_terms.bring(bracket, orders, busy)
    _settle_alerts(bracket, steps)
    _show(bracket, orders, seen, began)


def _give_up_without_entry(bracket: Bracket) -> None:
    """Whoever accepted it died before its entry was stored; nothing of it ever left."""
    if bracket.over or timezone.now() - bracket.created_at < NEVER_PLACED:
        return
    _finish(bracket, "its entry was never placed")
    show_legs(bracket, orders_of(bracket), bracket.legs.all())


def _clocked(bracket: Bracket, orders: Orders, seen: Sight) -> Sight:
    """Since when it is exposed, gapped or waiting: columns, so that a restart forgets nothing."""
    now = timezone.now()
    running = {
        "exposed": seen.exposed and seen.takes_orders and not seen.elsewhere,
        "gap": _gapped(bracket, orders),
        "waits": waits(seen),
        "odd": is_odd(seen, patience()),
    }
    columns = {}
    for name, runs in running.items():
        since = (getattr(bracket, f"{name}_since") or now) if runs else None
        if since != getattr(bracket, f"{name}_since"):
            columns[f"{name}_since"] = since
    bracket.keep(columns)
    return replace(
        seen,
        exposed_for=_lasting(bracket.exposed_since, now),
        gap_for=_lasting(bracket.gap_since, now),
        waits_for=_lasting(bracket.waits_since, now),
        odd_for=_lasting(bracket.odd_since, now),
    )


def _lasting(since: dt.datetime | None, now: dt.datetime) -> float:
    return 0.0 if since is None else (now - since).total_seconds()


def _gapped(bracket: Bracket, orders: Orders) -> bool:
    """True while a fresh price lies beyond the limit of the stop at work: it rests, and may go on
    resting while the loss grows."""
    stops = [order for order in orders[Part.STOP_LOSS] if order.status in AT_BROKER]
    price = price_now(bracket) if stops else None
    limit = (stops[-1].price or stops[-1].trigger_price) if stops else None  # kept: none is told
    if price is None or limit is None:
        return False
    return (price - limit) * bracket.exit_side.sign > 0


def _do(bracket: Bracket, orders: Orders, seen: Sight, step: Step) -> None:
    if step.do is Do.LEAVE:
        leave(bracket, Actor(name=GUARDIAN), step.why)
        text = f"{bracket} on {bracket.account.name} is being left: {step.why}"
        raise_alert(f"{bracket.name}:left", text, Severity.CRITICAL)
    elif step.do is Do.ALERT:
        text = f"{bracket} on {bracket.account.name}: {step.why}"
        raise_alert(f"{bracket.name}:{step.about}", text, Severity.CRITICAL)
    elif step.do is Do.FINISH:
        _finish(bracket, step.why)
    elif step.part is not None:
        found = orders[step.part]
        if step.do is Do.PLACE:
            _place(bracket, step.part, len(found) + 1, step.quantity)
        elif step.do is Do.CANCEL:
            _cancel(bracket, found[:-1] if step.about == "strays" else found[-1:], step)
        elif step.do is Do.CHANGE:
            quantity = found[-1].filled_quantity + step.quantity
            bracket_terms.change(bracket, found[-1], step.why, quantity=quantity)
        elif step.do is Do.PRICE_ANEW:
            bracket_terms.price_anew(bracket, found[-1])


def leave(bracket: Bracket, actor: Actor, why: str) -> bool:
    """From now on it is being left; False when it was before."""
    now = timezone.now()
    fresh = Bracket.objects.filter(pk=bracket.pk, leaving_at=None).exclude(
        status=BracketStatus.IMPORTED
    )
    if not fresh.update(leaving_at=now, reason=why[:400]):
        return False
    bracket.leaving_at, bracket.reason = now, why[:400]
    bracket.note(actor.name, f"it is being left: {why}")
    return True


def _finish(bracket: Bracket, why: str) -> None:
    columns = {"status": BracketStatus.OVER, "finished_at": timezone.now()}
    bracket.keep(columns | ({"reason": why} if why else {}))
    bracket.note(GUARDIAN, f"it is over{f': {why}' if why else ''}")
    if why and bracket.entered_at is not None:
        text = f"{bracket} on {bracket.account.name} is over: {why}"
        raise_alert(f"{bracket.name}:over", text)


def _place(bracket: Bracket, part: Part, number: int, quantity: int) -> None:
    """One order under a key of its own: a look that dies and is repeated places none twice."""
    intent = _intent(bracket, part, quantity)
    key = key_of(bracket, part, number)
    try:
        services.place_at_once(
            intent,
            Actor(name=GUARDIAN, user=bracket.user),
            Source.SYSTEM,
            f"{bracket.name} {part.lower().replace('_', '-')}",
            key,
            lambda _: None,
        )
    except BadOrder as error:
        text = f"{bracket} on {bracket.account.name}: its {part} cannot be an order: {error}"
        raise_alert(f"{bracket.name}:broke", text, Severity.CRITICAL)
        return
    order = Order.objects.get(request_key=key)
    said = f"{part}: {order.in_words} placed, {order.status}"
    bracket.note(GUARDIAN, f"{said} {order.reason}".strip())


def _intent(bracket: Bracket, part: Part, quantity: int) -> OrderIntent:
    kinds = {
        Part.TARGET: (OrderType.LIMIT, bracket.target_price, None),
        Part.STOP_LOSS: (
            OrderType.STOP_MARKET if bracket.stop_limit is None else OrderType.STOP_LIMIT,
            bracket.stop_limit,
            bracket.stop_price,
        ),
    }
    kind, price, trigger = kinds.get(part, (OrderType.MARKET, None, None))
    return OrderIntent(
        account=bracket.account,
        instrument=bracket.instrument,
        side=Side(bracket.side) if part is Part.BACK else bracket.exit_side,
        quantity=quantity,
        order_type=kind,
        price=price,
        trigger_price=trigger,
        product=Product(bracket.product),
        intent=Intent.EXIT,
        strategy=bracket.strategy,
        group=bracket.name,
    )


def _cancel(bracket: Bracket, orders: list[Order], step: Step) -> None:
    for order in orders:
        if not order.can_cancel:
            continue
        try:
            services.cancel(order, Actor(name=GUARDIAN), step.why)
        except TooLate:
            continue  # it ended meanwhile: the next look sees how
        bracket.note(GUARDIAN, f"{step.part}: cancel asked for, {step.why}")


def _settle_alerts(bracket: Bracket, steps: list[Step]) -> None:
    told = {step.about for step in steps if step.do is Do.ALERT}
    names = [f"{bracket.name}:{about}" for about in ALERTS if about not in told]
    stale = Alert.objects.filter(key__in=names, acknowledged_at=None)
    for name in stale.values_list("key", flat=True):
        settle_alert(name, "it is as it should be again")


def _show(bracket: Bracket, orders: Orders, seen: Sight, began: dt.datetime) -> None:
    """Bring status and legs up to date with the orders, and remember when the look began."""
    columns: dict[str, object] = {"looked_at": began}
    if bracket.over and seen.held != 0:
        columns["finished_at"] = None
        text = f"{bracket} on {bracket.account.name} was over, and late news says it is not"
        raise_alert(f"{bracket.name}:left", text, Severity.CRITICAL)
    if not bracket.over or seen.held != 0:
        columns["status"] = _status(bracket, seen)
    entry = orders[Part.ENTRY][-1]
    if entry.kept and not bracket.parent_broker_id:
        columns["parent_broker_id"] = entry.broker_order_id
    if seen.entry.total and bracket.entered_at is None:
        columns["entered_at"] = orders[Part.ENTRY][-1].news_at or began
    bracket.keep(columns)
    show_legs(bracket, orders_of(bracket), bracket.legs.all())


def _status(bracket: Bracket, seen: Sight) -> BracketStatus:
    if bracket.leaving_at is not None or seen.exited:
        return BracketStatus.LEAVING
    return BracketStatus.HOLDING if seen.entry.total else BracketStatus.ENTERING
