"""Today's rows as light tuples, and what the broker's books say otherwise. One pass, in memory."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Q, Value

from apps.brokers.models import BrokerAccount, PositionsReport
from apps.brokers.port import BrokerState, Fill, LegName, OrderReport, Product, Side
from apps.orders import models as rows
from apps.orders.models import BreakKind, LedgerPosition, OpeningEntry, Order, trading_day
from apps.orders.states import EVENT_OF, TERMINAL, Event, Status, destination
from apps.risk import footing

MOST_LACKING = 20  # rows of a book that are listed one by one
WHOLE_BOOK = "the book"  # the subject of a break that stands for many rows
CENT = Decimal("0.01")  # a broker rounds the average that it states
_AT_WORK = {BrokerState.IN_TRANSIT, BrokerState.WORKING, BrokerState.PARTIALLY_FILLED}


class Ours(NamedTuple):
    """What a comparison needs of an order."""

    pk: int
    correlation_id: str
    broker_order_id: str
    status: str
    side: str
    product: str
    segment: str
    security_id: str
    symbol: str
    quantity: int
    price: Decimal | None
    trigger_price: Decimal | None
    filled_quantity: int
    average_price: Decimal | None
    after_market: bool
    submitted_at: dt.datetime | None
    trading_day: dt.date
    leg: str = ""
    leg_of: str = ""
    exit_stop: Decimal | None = None
    exit_target: Decimal | None = None


_COLUMNS = {
    "segment": "instrument__segment",
    "security_id": "instrument__security_id",
    "symbol": "instrument__symbol",
}

TradeKey = tuple[str, str, str]  # broker's order id, segment, exchange's trade id


@dataclass(frozen=True)
class Difference:
    """Something the books and our rows disagree on. Both sides are plain values."""

    kind: BreakKind
    subject: str
    about: str
    ours: Mapping[str, Any]
    theirs: Mapping[str, Any]


def our_orders(account: BrokerAccount) -> list[Ours]:
    """Orders that today's book may speak of: today's, those that wait, yesterday's not over."""
    today = trading_day()
    lately = Q(trading_day=today - dt.timedelta(days=1)) & ~Q(status__in=TERMINAL)
    orders = Order.objects.filter(Q(trading_day__gte=today) | lately, account=account)
    names = [_COLUMNS.get(name, name) for name in Ours._fields]
    return [Ours(*row) for row in orders.order_by("trading_day", "id").values_list(*names)]


def by_broker_id(orders: Iterable[Ours]) -> dict[str, Ours]:
    """Those that the broker has named; of two days' the later."""
    return {order.broker_order_id: order for order in orders if order.broker_order_id}


def our_fills(
    account: BrokerAccount, ours: Mapping[str, Ours]
) -> dict[TradeKey, tuple[int, Decimal]]:
    """Quantity and price of every trade that is stored of these orders."""
    since = trading_day() - dt.timedelta(days=1)
    fills = rows.Fill.objects.filter(account=account, trading_day__gte=since).order_by()
    names = ("order", "segment", "exchange_trade_id", "quantity", "price")
    ids = {order.pk: order.broker_order_id for order in ours.values()}
    stored = fills.values_list(*names)
    return {(ids[row[0]], *row[1:3]): row[3:5] for row in stored if row[0] in ids}


def tells_nothing_new(order: Ours | Order, report: OrderReport) -> bool:
    """True when applying the report would leave the order as it is."""
    event = EVENT_OF[report.state]
    if event is Event.UNRECOGNISED or destination(Status(order.status), event) != order.status:
        return False
    if report.filled_quantity is not None and report.filled_quantity != order.filled_quantity:
        return False
    pairs = (
        (report.quantity, order.quantity),
        (report.price, order.price),
        (report.trigger_price, order.trigger_price),
        (report.exits and report.exits.stop, order.exit_stop),
        (report.exits and report.exits.target, order.exit_target),
    )
    return all(not theirs or theirs == ours for theirs, ours in pairs)


def sorted_out(
    orders: Sequence[Ours], book: Sequence[OrderReport]
) -> tuple[list[OrderReport], list[OrderReport]]:
    """Reports of our orders that say something new, and reports of none of ours.

    A target or stop that the broker keeps is ours when its entry is.
    """
    named = by_broker_id(orders)
    ids = {order.correlation_id for order in orders}
    entries = {order.broker_order_id for order in orders if order.leg == LegName.ENTRY} - {""}
    news: list[OrderReport] = []
    strangers: list[OrderReport] = []
    for report in book:
        order = named.get(report.broker_order_id)
        if order is None:
            mine = report.correlation_id in ids or report.whole_id in entries
            (news if mine else strangers).append(report)
        elif not tells_nothing_new(order, report):
            news.append(report)
    return news, strangers


def new_trades(
    ours: Mapping[str, Ours], fills: Mapping[TradeKey, object], book: Sequence[Fill]
) -> dict[str, list[Fill]]:
    """Trades that are not stored yet and are what they say, by the broker's id of their order."""
    found: dict[str, list[Fill]] = defaultdict(list)
    for fill in book:
        order = ours.get(fill.broker_order_id)
        if order is not None and _key(fill) not in fills and _fits(order, fill):
            found[fill.broker_order_id].append(fill)
    return dict(found)


def addressed(
    ours: Mapping[str, Ours], fills: Mapping[TradeKey, tuple[int, Decimal]], book: Sequence[Fill]
) -> list[Fill]:
    """Trades under the id of the order that they are of.

    A broker may show target and stop under their entry's id. Such a trade is of the one that has
    filled more than its trades say; of two the one with that average. While neither has, it stays
    under the entry's id, whose side it contradicts.
    """
    known = {key[1:]: key[0] for key in fills}
    counted: dict[str, int] = defaultdict(int)
    for key, (quantity, _) in fills.items():
        counted[key[0]] += quantity
    found = []
    for fill in book:
        order = ours.get(fill.broker_order_id)
        name = fill.broker_order_id
        if order is not None and order.leg == LegName.ENTRY and fill.side != order.side:
            name = known.get(_key(fill)[1:]) or _lacking(ours, order, counted, fill) or name
            if _key(fill)[1:] not in known:
                counted[name] += fill.quantity
        found.append(fill if name == fill.broker_order_id else replace(fill, broker_order_id=name))
    return found


def _lacking(ours: Mapping[str, Ours], entry: Ours, counted: Mapping[str, int], fill: Fill) -> str:
    """The leg of the entry that lacks this trade; empty when none does."""
    legs = [order for order in ours.values() if order.leg_of == entry.broker_order_id]
    short = [
        leg
        for leg in legs
        if leg.filled_quantity >= counted.get(leg.broker_order_id, 0) + fill.quantity
    ]
    short.sort(key=lambda leg: leg.average_price != fill.price)
    return short[0].broker_order_id if short else ""


def _fits(order: Ours, fill: Fill) -> bool:
    """False for a trade that names another side or instrument than its order."""
    theirs = (fill.side.value, fill.segment.value, fill.security_id)
    return theirs == (order.side, order.segment, order.security_id)


def collapsed(differences: Sequence[Difference]) -> list[Difference]:
    """The same, with one for what a whole book lacks rather than one for each of its rows."""
    kept: list[Difference] = []
    lacking: dict[BreakKind, list[Difference]] = defaultdict(list)
    for one in differences:
        (kept if one.theirs else lacking[one.kind]).append(one)
    for kind, many in lacking.items():
        if len(many) <= MOST_LACKING:
            kept += many
        else:
            text = f"the book lacks {len(many)}, such as {many[0].about}"
            kept.append(Difference(kind, WHOLE_BOOK, text[:200], {"rows": len(many)}, {}))
    return kept


def of_orders(
    ours: Mapping[str, Ours], book: Sequence[OrderReport], begun: dt.datetime
) -> Iterable[Difference]:
    """Orders that the book shows otherwise than we do, or not at all though it should."""
    shown = {report.broker_order_id for report in book}
    for report in book:
        order = ours.get(report.broker_order_id)
        if order is not None:
            yield from _of_order(order, report)
    for order in ours.values():
        in_time = order.submitted_at is not None and order.submitted_at < begun
        due = in_time and order.trading_day == trading_day(begun) and not order.after_market
        if due and order.broker_order_id not in shown:
            yield _difference(BreakKind.OURS_ONLY, order, _said(order), {})


def _of_order(order: Ours, report: OrderReport) -> Iterable[Difference]:
    theirs: dict[str, Any] = {"status": report.state_word}
    over_here = order.status in TERMINAL and report.state in _AT_WORK
    event = EVENT_OF[report.state]
    fits = destination(Status(order.status), event) == order.status
    if over_here or event is Event.UNRECOGNISED or not fits:
        yield _difference(BreakKind.STATUS, order, {"status": order.status}, theirs)
    filled = report.filled_quantity
    if filled is not None and filled != order.filled_quantity:
        yield _difference(
            BreakKind.QUANTITY, order, {"filled": order.filled_quantity}, {"filled": filled}
        )
    elif report.quantity and report.quantity != order.quantity:
        yield _difference(
            BreakKind.QUANTITY, order, {"quantity": order.quantity}, {"quantity": report.quantity}
        )
    for name in ("price", "trigger_price"):
        stated, mine = getattr(report, name), getattr(order, name)
        if stated and stated != mine and order.status not in TERMINAL:
            yield _difference(BreakKind.PRICE, order, {name: _text(mine)}, {name: _text(stated)})
            break


def of_trades(
    ours: Mapping[str, Ours],
    fills: Mapping[TradeKey, tuple[int, Decimal]],
    book: Sequence[Fill],
) -> Iterable[Difference]:
    """Trades that differ, that the book lacks, or that do not add up to their order."""
    shown = {_key(fill): fill for fill in book}
    for key, fill in shown.items():
        order = ours.get(fill.broker_order_id)
        if order is not None and (found := _of_trade(order, fill, fills.get(key))):
            yield found
    sums: dict[str, list[Any]] = defaultdict(lambda: [0, Decimal(0)])
    for key, (quantity, price) in fills.items():
        sums[key[0]][0] += quantity
        sums[key[0]][1] += quantity * price
        order = ours.get(key[0])
        if order is not None and order.trading_day == trading_day() and key not in shown:
            mine = {"trade": key[2], "quantity": quantity, "price": _text(price)}
            yield _difference(BreakKind.FILL, order, mine, {}, key[2])
    for order in ours.values():
        yield from _of_sums(order, *sums[order.broker_order_id])


def _of_trade(order: Ours, fill: Fill, known: tuple[int, Decimal] | None) -> Difference | None:
    price = rows.Fill.price_of(fill.price)
    theirs = {
        "trade": fill.exchange_trade_id,
        "quantity": fill.quantity,
        "price": _text(price),
        "side": fill.side.value,
        "instrument": f"{fill.segment}:{fill.security_id}",
    }
    if known == (fill.quantity, price) and _fits(order, fill):
        return None
    ours: dict[str, Any] = {
        "instrument": f"{order.segment}:{order.security_id}",
        "side": order.side,
    }
    if known is not None:
        ours |= {"quantity": known[0], "price": _text(known[1])}
    return _difference(BreakKind.FILL, order, ours, theirs, fill.exchange_trade_id)


def _of_sums(order: Ours, total: int, value: Decimal) -> Iterable[Difference]:
    if total != order.filled_quantity:
        ours = {"filled": order.filled_quantity}
        yield _difference(BreakKind.FILL_MISSING, order, ours, {"sum of trades": total})
    elif total and order.average_price is not None:
        average = value / total
        if abs(average - order.average_price) > CENT:
            stated = {"average": _text(order.average_price)}
            yield _difference(BreakKind.PRICE, order, stated, {"of trades": f"{average:.4f}"})


def of_positions(account: BrokerAccount, report: PositionsReport) -> Iterable[Difference]:
    """Positions whose owners' rows do not add up to the broker's net.

    A broker may still show as a position what was delivered in the last session: then both days
    together are what it shows.
    """
    ours = our_positions(account)
    theirs = dict(footing.keys_held(report))
    different = [
        key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key, 0) != theirs.get(key, 0)
    ]
    delivered = any(key[2] in _DELIVERED for key in different)
    before = _of_last_session(account) if delivered else {}
    for key in different:
        both = ours.get(key, 0) + before.get(key, 0)
        if key not in before or both != theirs.get(key, 0):
            yield Difference(
                BreakKind.POSITION,
                ":".join(key),
                f"position in {key[0]}:{key[1]} {key[2]}",
                {"net": ours.get(key, 0)},
                {"net": theirs.get(key, 0)},
            )


PositionKey = tuple[str, str, str]  # segment, security id, product


def our_positions(account: BrokerAccount) -> dict[PositionKey, int]:
    """Net units, as the broker's list counts them.

    What was delivered on an earlier day is a holding and no position (portfolio page): of those
    products only today counts.
    """
    by_instrument = ("instrument__segment", "instrument__security_id", "product")
    found: dict[PositionKey, int] = defaultdict(int)
    owned = LedgerPosition.objects.filter(account=account).exclude(product__in=_DELIVERED)
    for *key, net in owned.exclude(net=0).order_by().values_list(*by_instrument, "net"):
        found[key[0], key[1], key[2]] += net
    return found | _delivered_on(account, trading_day())


def _delivered_on(account: BrokerAccount, day: dt.date) -> dict[PositionKey, int]:
    """Net units of the products that are delivered, of one day's fills and entries."""
    by_instrument = ("instrument__segment", "instrument__security_id", "product")
    found: dict[PositionKey, int] = defaultdict(int)
    of_day = {"account": account, "trading_day": day}
    fills = rows.Fill.objects.filter(**of_day, order__product__in=_DELIVERED).order_by()
    entries = OpeningEntry.objects.filter(**of_day, product__in=_DELIVERED).order_by()
    names = [f"order__{name}" for name in (*by_instrument, "side")]
    traded = fills.values_list(*names, "quantity")
    entered = entries.annotate(way=Value(Side.BUY.value)).values_list(
        *by_instrument, "way", "quantity"
    )
    for *key, side, quantity in traded.union(entered, all=True):
        found[key[0], key[1], key[2]] += Side(side).sign * quantity
    return dict(found)


def _of_last_session(account: BrokerAccount) -> dict[PositionKey, int]:
    """The same of the day before today on which such a product was last traded."""
    fills = rows.Fill.objects.filter(
        account=account, trading_day__lt=trading_day(), order__product__in=_DELIVERED
    )
    last = fills.order_by("-trading_day").values_list("trading_day", flat=True).first()
    return _delivered_on(account, last) if last is not None else {}


_DELIVERED = [Product.DELIVERY.value, Product.MTF.value]


def of_stranger(report: OrderReport, why: str) -> Difference:
    """An order of the book that cannot have a row here."""
    return Difference(
        BreakKind.THEIRS_ONLY,
        report.broker_order_id,
        f"order {report.broker_order_id}: {why}"[:200],
        {},
        {
            "status": report.state_word,
            "instrument": f"{report.segment}:{report.security_id}",
            "side": report.side,
            "quantity": report.quantity,
            "filled": report.filled_quantity,
        },
    )


def _difference(
    kind: BreakKind, order: Ours, ours: Mapping[str, Any], theirs: Mapping[str, Any], part: str = ""
) -> Difference:
    about = f"{order.side} {order.quantity} {order.symbol}, broker's id {order.broker_order_id}"
    subject = f"{order.correlation_id}:{part}" if part else order.correlation_id
    return Difference(kind, subject[:90], about, ours, theirs)


def _said(order: Ours) -> dict[str, Any]:
    return {"status": order.status, "filled": order.filled_quantity}


def _key(fill: Fill) -> TradeKey:
    return fill.broker_order_id, fill.segment.value, fill.exchange_trade_id


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"
