"""The strategy report, the day's end, and the heartbeat, as text."""

from __future__ import annotations

from collections.abc import Iterable

from apps.brokers.models import BrokerAccount, PositionsReport
from apps.chat import words
from apps.chat.figures import Strategy, of_today
from apps.desk.words import grouped, rupees


def heartbeat() -> str:
    """One line that says how it is, with its time. Its absence says more."""
    return f"{words.how_it_is()} {words.now()}"


def strategies() -> str:
    """Per account and strategy what happened today, then what the broker says."""
    return "\n".join([f"Strategies, {words.now()}", *_body()])


def day_end(closed: Iterable[str] = ()) -> str:
    """The same when these segments have closed, with what is left open."""
    of = f" of {', '.join(closed)}" if closed else ""
    return "\n".join([f"The day's end{of}, {words.now()}", *_body(), *_left(), words.how_it_is()])


def _body() -> list[str]:
    lines = [_line(strategy) for strategy in of_today()]
    accounts = BrokerAccount.objects.filter(enabled=True).order_by("name")
    return [*(lines or ["No orders today."]), *(_account(account) for account in accounts)]


def _line(strategy: Strategy) -> str:
    name = strategy.name or "no strategy"
    counts = (
        f"{strategy.orders} orders, {strategy.trades} fills ({grouped(strategy.filled)} units), "
        f"{strategy.rejected} rejected, {strategy.working} working"
    )
    if strategy.unknown:
        counts += f", {strategy.unknown} UNKNOWN"
    return f"{strategy.account}, {name}: {counts}; {_net(strategy)}; {_realised(strategy)}"


def _net(strategy: Strategy) -> str:
    if not strategy.complete:
        return "net today unknown (not every fill has its trade yet)"
    held = [f"{row.symbol} {words.signed(row.net)}" for row in strategy.held if row.net]
    return f"net today {', '.join(held) if held else 'flat'}"


def _realised(strategy: Strategy) -> str:
    if strategy.realised is None:
        why = "" if not strategy.complete else " (carried products, or contracts with multipliers)"
        return f"realised unknown{why}"
    return f"realised {rupees(round(strategy.realised, 2))} before charges"


def _account(account: BrokerAccount) -> str:
    report = PositionsReport.objects.filter(account=account).first()
    if report is None or not words.fresh(report):
        return f"{account.name} at the broker: unknown ({words.read_at(report)})"
    realised = rupees(words.total(report.rows, "realised"))
    unrealised = rupees(words.total(report.rows, "unrealised"))
    figures = f"realised {realised}, unrealised {unrealised} without delivery"
    return f"{account.name} at the broker: {figures}, {words.read_at(report)}"


def _left() -> list[str]:
    """Positions that are not flat."""
    lines: list[str] = []
    for report in PositionsReport.objects.filter(account__enabled=True).select_related("account"):
        held = [words.named(row) for row in words.open_rows(report.rows)]
        if held:
            at = words.read_at(report)
            lines.append(f"{report.account.name} still holds ({at}): {', '.join(held)}")
    return lines
