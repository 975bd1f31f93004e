"""Work off what is to be closed: one pass over an account's goals, from one read of its positions.

Level-triggered: each pass looks at the orders and the position as they are, so a pass that dies, a
lapsed order or a rejected one costs one pass. It waits while an order of the position is UNKNOWN,
cancels what else works in it, and places no more than every measure of the position leaves.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from apps.alerts.models import Severity
from apps.alerts.raising import raise_alert, settle_alert
from apps.brokers import holdings
from apps.brokers.locks import turn_if_free
from apps.brokers.models import BrokerAccount, Verb, WireCall
from apps.brokers.port import STRATEGY, Product, ReadFailed
from apps.orders import attempts, clearing, goals
from apps.orders.models import Order
from apps.orders.reconcile import reconcile
from apps.orders.services import Actor
from apps.orders.states import IN_DOUBT, Status
from apps.risk import book, footing, held
from apps.risk.held import Shown
from apps.risk.models import ExitGoal, GoalState, Hold, OwnedPosition

log = structlog.get_logger(__name__)
SENDING_VERBS = (Verb.PLACE, Verb.MODIFY, Verb.CANCEL)
PROOFS_NEEDED = 2
BY_OTHERS = "orders of other owners"


def accounts_due() -> list[BrokerAccount]:
    """Accounts with something to close."""
    working = ExitGoal.objects.filter(state=GoalState.WORKING)
    return list(BrokerAccount.objects.filter(pk__in=working.values("account")))


def flatten_due() -> None:
    """One pass over every account that has something to close."""
    for account in accounts_due():
        flatten(account)


def flatten(account: BrokerAccount) -> None:
    """One pass over the account's goals; one pass at a time."""
    with turn_if_free(f"flatten:{account.name}") as mine:
        if not mine:
            return
        working = ExitGoal.objects.filter(account=account, state=GoalState.WORKING)
        found = list(working.select_related("account", "instrument").order_by("pk"))
        if not found:
            return
        if book.fills_await_a_book(account):
            reconcile(account)
        if any(goal.holdings for goal in found):
            holdings.refresh_list(account)
        try:
            report = footing.read_positions(account, retries=False)
        except ReadFailed as error:
            for goal in found:
                _wait(goal, f"the positions cannot be read: {error}")
            return
        for goal in found:
            shown = held.shown(account, report) if goal.holdings else Shown(report, None)
            _safely(goal, shown)


def _safely(goal: ExitGoal, shown: Shown) -> None:
    """One goal that breaks is told; the others go on."""
    try:
        if goal.holdings and shown.holdings is None:
            _wait(goal, "the holdings of today are not known")
        else:
            _pass(goal, shown)
        _watch_deadline(goal)
    except goals.NotOpen:
        log.info("ended meanwhile", goal=goal.pk)
    except Exception as error:
        log.exception("goal broke", goal=goal.pk)
        text = f"closing {goal} broke: {type(error).__name__}"
        raise_alert(f"goal:{goal.pk}:broke", text, Severity.CRITICAL)


@dataclass(frozen=True)
class _Sight:
    """What one pass sees of a position: net units to look after, and the orders that touch it."""

    net: int
    mine: list[Order]
    others: list[Order]

    @property
    def in_doubt(self) -> list[Order]:
        """Orders that may exist at the broker without our knowing how."""
        return [order for order in [*self.mine, *self.others] if order.status == Status.UNKNOWN]

    @property
    def moving(self) -> bool:
        """True while an order of ours is between us and the broker."""
        return any(order.status in IN_DOUBT for order in [*self.mine, *self.others])


def _look(goal: ExitGoal, shown: Shown) -> _Sight:
    alive = Order.objects.alive().filter(
        account=goal.account, instrument=goal.instrument, product=goal.product
    )
    alive = alive.select_related("account", "instrument").order_by("pk")
    mine, others = [], []
    for order in alive:
        if (order.request_key or "").startswith(goal.key_prefix):
            mine.append(order)
        elif not goal.owner or order.owner == goal.owner:
            others.append(order)
    return _Sight(_net(goal, shown), mine, others)


def _net(goal: ExitGoal, shown: Shown) -> int:
    """Net units that are the goal's to close: never beyond what the broker shows.

    A sale out of the depository shows below zero, and is no position to buy back.
    """
    instrument = goal.instrument
    key = (instrument.segment, instrument.security_id, goal.product)
    net = (shown.net(key) if goal.holdings else shown.positions.net(*key)) or 0
    if goal.product == Product.DELIVERY and not goal.holdings:
        net = max(net, 0)
    if not goal.owner:
        return net
    part = _part(goal)
    return min(part, net, key=abs) if part * net > 0 else 0


def _part(goal: ExitGoal) -> int:
    """Net units of the goal's owner by the desk's own count."""
    segment, security_id, product = _key(goal)
    its = OwnedPosition.objects.filter(
        account=goal.account,
        segment=segment,
        security_id=security_id,
        product=product,
        owner=goal.owner,
    ).first()
    return its.net if its else 0


def _pass(goal: ExitGoal, shown: Shown) -> None:
    _end_wholes(goal)
    seen = _look(goal, shown)
    if not _note_net(goal, seen.net):
        return
    if seen.in_doubt:
        names = ", ".join(order.correlation_id for order in seen.in_doubt)
        _wait(goal, f"{names} is UNKNOWN: no further order until the broker's books have told")
    elif seen.others:
        _clear(goal, seen.others)
    elif _to_close(goal, seen.net) == 0:
        _prove(goal, seen, shown)
    else:
        _no_proof(goal)
        _close(goal, seen, shown)


def _to_close(goal: ExitGoal, net: int) -> int:
    """Units still to be exited; nothing when the position is at the target or short of it."""
    sign = 1 if net > 0 else -1
    return max((net - goal.target) * sign, 0) if goal.target * sign >= 0 else abs(net)


def _note_net(goal: ExitGoal, net: int) -> bool:
    """Keep the figure; False once the position has turned round twice, which our orders cannot."""
    if net != goal.net:
        goal.flips += goal.sign * net < 0
        goal.net, goal.sign = net, (net > 0) - (net < 0) or goal.sign
        goal.save(update_fields=["net", "sign", "flips"])
    if goal.flips >= 2:
        goals.stop(goal, "the position turned round twice while it was being closed")
        return False
    return True


def _clear(goal: ExitGoal, others: list[Order]) -> None:
    """Cancel what else works in the position: it would take it too, or build it up again."""
    actor = Actor(name=f"desk: closing #{goal.pk}")
    left = clearing.cancel_each(others, actor, goal.reason)
    _wait(goal, f"other orders of the position to cancel: {left}")


_POSITION = ("account", "instrument", "product")


def _end_wholes(goal: ExitGoal) -> None:
    """No further slice of a larger order may come into the position."""
    where: dict[str, object] = {name: getattr(goal, name) for name in _POSITION}
    if goal.owner:
        its = goal.owner.startswith(STRATEGY)
        where["strategy"] = goal.owner.removeprefix(STRATEGY) if its else ""
    actor = Actor(name=f"desk: closing #{goal.pk}")
    clearing.cancel_wholes(actor, goal.reason, **where)


def _close(goal: ExitGoal, seen: _Sight, shown: Shown) -> None:
    """Take back what is too much, price anew what rests too long, ask for what is missing."""
    wanted = _to_close(goal, seen.net)
    at_work = sum(order.open_quantity for order in seen.mine)
    if at_work > wanted:
        attempts.take_back(seen.mine, at_work - wanted, goal)
        goals.say(goal, "orders beyond the position are taken back")
        return
    for order in seen.mine:
        attempts.price_anew(order, goal)
    missing = wanted - at_work
    asks = missing > 0 and not seen.moving
    if asks and not attempts.ask(goal, seen.net, missing, seen.mine, shown.positions):
        _wait(goal, _why_nothing_is_left(goal, seen, shown))
    else:
        _waits_no_more(goal)


def _why_nothing_is_left(goal: ExitGoal, seen: _Sight, shown: Shown) -> str:
    """Orders of others may take it, or the position or its fills are not confirmed."""
    found = attempts.in_the_way(goal, seen.net, shown.positions) if goal.owner else []
    if found:
        names = ", ".join(found[:5])
        return f"{BY_OTHERS} may take the position: {names}; cancel them, or close all of it"
    if not _explained(goal, shown):
        return "waits until the position is confirmed: the reads and the desk's own count differ"
    return "waits until the broker has told what its orders have filled"


def _prove(goal: ExitGoal, seen: _Sight, shown: Shown) -> None:
    """The position is where it should be: twice, by reads begun after everything had ended."""
    if seen.mine:
        attempts.take_back(seen.mine, sum(order.open_quantity for order in seen.mine), goal)
        _wait(goal, "the position is closed; its last orders are taken back")
        return
    if not _explained(goal, shown):
        _wait(goal, "the broker shows it closed, and the desk's own count does not: looking again")
        return
    key = _key(goal)
    if not all(is_quiet(goal.account, report, key) for report in shown.reads):
        _wait(goal, "the position is closed; a read begun after the last call must show it")
        return
    mark = shown.older(goal.product).mark
    if any(proof["mark"] == mark for proof in goal.proofs):
        return
    at = timezone.localtime(shown.positions.as_of).strftime("%H:%M:%S.%f")
    goal.proofs = [*goal.proofs, {"mark": mark, "as_of": at, "net": seen.net}]
    ExitGoal.objects.filter(pk=goal.pk).update(proofs=goal.proofs)
    goals.say(goal, f"{len(goal.proofs)} of {PROOFS_NEEDED} reads show it closed")
    if len(goal.proofs) < PROOFS_NEEDED:
        return
    if why := _why_not_reached(goal, key):
        goals.stop(goal, why)
    else:
        goals.reach(goal)


def _why_not_reached(goal: ExitGoal, key: footing.Key) -> str:
    """A part that is still there, though the account has nothing left of it to close.

    Of DELIVERY what was delivered earlier is no part of a goal without holdings.
    """
    delivered = goal.product == Product.DELIVERY and not goal.holdings
    part = _part(goal) if goal.owner and not delivered else 0
    if not _to_close(goal, part):
        return ""
    total = footing.total(goal.account, key)
    return f"{goal.owner} has {part} of it, and the account {total} in all: others hold against it"


def _explained(goal: ExitGoal, shown: Shown) -> bool:
    """True when our own count says the same: positions that vanish from one read prove nothing."""
    key = _key(goal)
    if goal.holdings:
        return shown.net(key) == footing.total(goal.account, key)
    return footing.explains(goal.account, key, shown.positions)


def _key(goal: ExitGoal) -> footing.Key:
    return goal.instrument.segment, goal.instrument.security_id, goal.product


def is_quiet(account: BrokerAccount, report: held.Read, key: footing.Key | None = None) -> bool:
    """True when the read began after every call had its answer and its effect: every call of the
    account, or of the orders of one position, which no other call can move.
    """
    if report.as_of is None:
        return False
    holds = Hold.objects.filter(account=account)
    calls = WireCall.objects.filter(account=account, verb__in=SENDING_VERBS)
    if key is not None:
        holds = holds.filter(segment=key[0], security_id=key[1], product=key[2])
        calls = calls.filter(correlation_id__in=holds.values("correlation_id"))
    under_way = calls.filter(Q(outcome="") | Q(answered_at__gte=report.as_of))
    moved = holds.filter(Q(filled_mark__gte=report.mark) | Q(released_mark__gte=report.mark))
    return not under_way.exists() and not moved.exists()


def _no_proof(goal: ExitGoal) -> None:
    if goal.proofs:
        goal.proofs = []
        ExitGoal.objects.filter(pk=goal.pk).update(proofs=[])


def _wait(goal: ExitGoal, why: str) -> None:
    """It can only wait; loudly once that takes long."""
    goals.say(goal, why)
    now = timezone.now()
    if goal.waits_since is None:
        goal.waits_since = now
        ExitGoal.objects.filter(pk=goal.pk).update(waits_since=now)
    elif now - goal.waits_since > dt.timedelta(seconds=settings.FLATTEN_LOUD_AFTER):
        seconds = (now - goal.waits_since).total_seconds()
        text = f"closing {goal} waits for {seconds:.0f} s: {why}"
        raise_alert(f"goal:{goal.pk}:waits", text, Severity.CRITICAL)


def _waits_no_more(goal: ExitGoal) -> None:
    if goal.waits_since is not None:
        ExitGoal.objects.filter(pk=goal.pk).update(waits_since=None)
        settle_alert(f"goal:{goal.pk}:waits", "it goes on")


def _watch_deadline(goal: ExitGoal) -> None:
    if goal.state == GoalState.WORKING and goal.deadline_at <= timezone.now():
        text = f"closing {goal} is not done by its deadline: {goal.note}"
        raise_alert(f"goal:{goal.pk}:late", text, Severity.CRITICAL)
