"""The start page: what matters now, for the person who looks. A fixed number of short queries."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Case, Count, Value, When
from django.urls import reverse
from django.utils import timezone

from apps.alerts import acknowledging
from apps.alerts.models import Alert, Severity
from apps.brokers.models import BrokerAccount
from apps.desk import health, ready, rights, switches
from apps.desk.blotter import ALIVE
from apps.desk.doubts import doubtful
from apps.desk.health import Health, Part
from apps.desk.ready import Board
from apps.orders.models import Break, Fill, Order, Unattributed, trading_day
from apps.orders.states import Status
from apps.risk import approvals
from apps.risk.models import Approval, TradingState
from apps.signals.models import Signal

ROWS = 6  # of each list; the whole list is a link away
_REFUSED = (Status.REJECTED, Status.LAPSED, Status.NEVER_ARRIVED)


@dataclass(frozen=True)
class Line:
    """One account: may it trade, is it heard, and today's counts."""

    account: BrokerAccount
    switch: TradingState | None
    feed: Part | None
    board: Board | None
    working: int
    orders: int
    filled: int
    fills: int
    denied: int
    rejected: int


@dataclass(frozen=True)
class Need:
    """One thing that waits for a person, as a word in a colour that leads to it."""

    tone: str
    text: str
    where: str


def read(user: User) -> dict[str, Any]:
    """Everything the page shows; what the person may not see is left out."""
    may = user.has_perm
    its = rights.of(user)
    alive = health.check() if may("alerts.view_heartbeat") else None
    states = _switches() if may("risk.view_tradingstate") else {}
    found: dict[str, Any] = {
        "rights": its,
        "now": timezone.now(),
        "halted": switches.closed(),
        "health": alive,
        "sees_switches": may("risk.view_tradingstate"),
        "desk_switch": states.get(None),
    }
    if its.may_view:
        found["doubts"] = doubtful()
        found["strangers"] = Unattributed.objects.filter(
            order=None, trading_day=trading_day()
        ).count()
        accounts = list(BrokerAccount.objects.filter(enabled=True))
        boards = ready.boards(accounts) if may("brokers.view_brokeraccount") else []
        found["lines"] = _lines(accounts, alive, states, boards)
        found["unready"] = [board for board in boards if board.reds]
    if may("orders.view_break"):
        found["breaks"] = Break.objects.filter(resolution="").count()
    if may("risk.view_approval"):
        found |= _waiting(user)
    if may("alerts.view_alert"):
        found |= _alerts(acknowledging=may(acknowledging.PERMISSION))
    if may("signals.view_signal"):
        heard = Signal.objects.select_related("source", "account", "order")
        found["signals"] = list(heard.defer("body", "headers")[:ROWS])
    return found | {"needs": _needs(found), "rows": ROWS}


def _switches() -> dict[int | None, TradingState]:
    """By account; None is the whole desk."""
    return {state.account_id: state for state in TradingState.objects.all()}


def _lines(
    accounts: list[BrokerAccount],
    alive: Health | None,
    states: dict[int | None, TradingState],
    boards: list[Board],
) -> list[Line]:
    shown = {board.account.pk: board for board in boards}
    today = {"account__in": accounts, "trading_day": trading_day()}
    by_status = Order.objects.filter(**today).order_by().values_list("account", "status")
    orders = {(a, status): n for a, status, n in by_status.annotate(Count("pk"))}
    fills = _by_account(Fill.objects.filter(**today))
    working = _by_account(Order.objects.filter(ALIVE))
    parts = alive.parts if alive else {}
    return [
        Line(
            account,
            states.get(account.pk),
            parts.get(f"feed:{account.name}"),
            shown.get(account.pk),
            working[account.pk],
            sum(n for (pk, _), n in orders.items() if pk == account.pk),
            orders.get((account.pk, Status.FILLED), 0),
            fills[account.pk],
            orders.get((account.pk, Status.DENIED), 0),
            sum(orders.get((account.pk, status), 0) for status in _REFUSED),
        )
        for account in accounts
    ]


def _by_account(rows: Any) -> Counter[int]:  # noqa: ANN401 - orders or fills
    counted = rows.order_by().values_list("account").annotate(Count("pk"))
    return Counter(dict(counted))


def _waiting(user: User) -> dict[str, Any]:
    asked = list(approvals.waiting().select_related("requested_by").order_by("id"))
    mine = [approval for approval in asked if not approvals.why_not(approval, user)]
    shown = [(each, approvals.kind_of(each).label, each in mine) for each in asked[:ROWS]]
    return {"asked": shown, "to_decide": mine}


def _alerts(*, acknowledging: bool) -> dict[str, Any]:
    unseen = Alert.objects.filter(acknowledged_at=None)
    ranks = [Severity.CRITICAL, Severity.WARNING, Severity.INFO]
    rank = Case(*(When(severity=word, then=Value(n)) for n, word in enumerate(ranks)))
    by_severity = list(unseen.order_by().values_list("severity").annotate(Count("pk")))
    return {
        "alerts": list(unseen.order_by(rank, "-last_raised")[:ROWS]),
        "unseen": sum(count for _, count in by_severity),
        "critical": dict(by_severity).get(Severity.CRITICAL, 0),
        "warnings": dict(by_severity).get(Severity.WARNING, 0),
        "may_acknowledge": acknowledging,
    }


def _needs(found: dict[str, Any]) -> list[Need]:
    """What a person must do something about, the worst first."""
    doubts, alive = found.get("doubts", []), found["health"]
    critical, warnings = found.get("critical", 0), found.get("warnings", 0)
    split = found.get("breaks", 0)
    deciding: list[Approval] = found.get("to_decide", [])
    unready: list[Board] = found.get("unready", [])
    needs = [
        (len(doubts), "alarm", f"{len(doubts)} in doubt", "#start-doubts"),
        (bool(alive and alive.failing), "alarm", _failing(alive), "#start-health"),
        (bool(unready), "alarm", _unready(unready), "#start-accounts"),
        (split, "alarm", f"{split} open break{_s(split)}", reverse("desk:breaks")),
        (critical, "alarm", f"{critical} critical alert{_s(critical)}", "#start-alerts"),
        (len(deciding), "wait", f"{len(deciding)} to approve or refuse", "#start-approvals"),
        (warnings, "wait", f"{warnings} warning{_s(warnings)}", "#start-alerts"),
    ]
    return [Need(tone, text, where) for count, tone, text, where in needs if count]


def _failing(alive: Health | None) -> str:
    failing = alive.failing if alive else []
    more = f" and {len(failing) - 2} more" if len(failing) > 3 else ""
    return f"{', '.join(failing[: 2 if more else 3])}{more} silent"


def _unready(boards: list[Board]) -> str:
    if len(boards) == 1:
        return f"{boards[0].account.name} takes no entries"
    return f"{len(boards)} accounts take no entries"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
