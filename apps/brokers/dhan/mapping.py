"""Rows and frames of DhanHQ as our words, and our requests as arguments of the SDK."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from apps.brokers.dhan import words
from apps.brokers.dhan.legs import (
    as_part,
    entry_of,
    is_leg,
    of_a_bracket,
    part_in,
    told_apart,
)
from apps.brokers.dhan.schemas import (
    AddressBody,
    ApprovedRow,
    CloseRow,
    FundsBody,
    HoldingRow,
    KillSwitchBody,
    LevelRow,
    MarginBody,
    MarginsBody,
    MintedBody,
    OrderFrame,
    OrderRow,
    PositionRow,
    ProfileBody,
    QuoteRow,
    TradeRow,
    read,
)
from apps.brokers.port import (
    Address,
    BadWire,
    Fill,
    Funds,
    Holding,
    Level,
    Margin,
    Minted,
    ModifyRequest,
    OrderReport,
    OrderRequest,
    OrderType,
    Position,
    Profile,
    QuoteNews,
    Segment,
)
from apps.brokers.storable import Kept, storable

W = TypeVar("W")
INDIA = ZoneInfo("Asia/Kolkata")


def reports_from_rows(rows: Sequence[object], zone: ZoneInfo, what: str) -> list[OrderReport]:
    """The rows of one answer, each order under an id of its own. Raises ``BadWire``."""
    return told_apart(
        [report_from_row(row, zone, f"{what} row {number}") for number, row in enumerate(rows)]
    )


def report_from_row(row: object, zone: ZoneInfo, what: str = "order row") -> OrderReport:
    """One row of the order book, or a postback. Raises ``BadWire``."""
    found = read(OrderRow, row, what)
    segment = words.SEGMENTS.get(found.segment or "")
    report = _report(
        found,
        segment,
        zone,
        row,
        leg=found.leg is not None or of_a_bracket(found.product),
        after_market=bool(found.after_market),
    )
    part = known(words.LEGS, found.leg)
    return report if part is None else as_part(report, part)


def report_from_frame(data: object, zone: ZoneInfo) -> OrderReport:
    """``Data`` of one socket message, in the casing of the wire or of the documentation."""
    found = read(OrderFrame, camel(data), "order frame")
    pair = ((found.exchange or "").upper(), (found.segment or "").upper())
    report = _report(
        found,
        words.SOCKET_SEGMENTS.get(pair),
        zone,
        data,
        platform=words.PLATFORMS.get(found.platform or "", found.platform or "")[:40],
        leg=is_leg(found),
        after_market=found.off_market == "1",
    )
    part = part_in(found)
    return report if part is None else as_part(report, part, entry_of(found, part))


def camel(data: object) -> object:
    """Keys with a small first letter; where both casings are there, the wire's own wins."""
    if not isinstance(data, Mapping):
        return data
    lowered = {f"{key[:1].lower()}{key[1:]}": value for key, value in data.items()}
    return lowered | {key: value for key, value in data.items() if key[:1].islower()}


def _report(
    found: OrderRow | OrderFrame,
    segment: Segment | None,
    zone: ZoneInfo,
    raw: object,
    **more: Any,  # noqa: ANN401 - fields that only one of the two has
) -> OrderReport:
    exchange_order_id = found.exchange_order_id
    return OrderReport(
        broker_order_id=found.order_id,
        state=words.state_of(found.status),
        state_word=found.status[:40],
        correlation_id=found.correlation_id,
        exchange_order_id=None if exchange_order_id == "0" else exchange_order_id,
        segment=segment,
        security_id=found.security_id,
        side=known(words.SIDES, found.side),
        product=known(words.PRODUCTS, found.product),
        order_type=known(words.ORDER_TYPES, found.order_type),
        quantity=found.quantity,
        filled_quantity=found.filled,
        average_price=found.average,
        price=found.price,
        trigger_price=found.trigger,
        reason=_reason(found.reason),
        reported_at=_first_stamp(zone, found.updated, found.at_exchange, found.created),
        placed_at=stamp(found.created, zone),
        validity=known(words.VALIDITIES, found.validity),
        raw=Kept(raw),
        **more,
    )


def known(table: dict[str, W], word: str | None) -> W | None:
    """What the broker's word means, if anything."""
    return table.get((word or "").upper())


def _reason(text: str | None) -> str:
    return "" if text is None or text.upper() in words.NO_REASON else text[:500]


def _first_stamp(zone: ZoneInfo, *texts: str | None) -> dt.datetime | None:
    return next((at for at in (stamp(text, zone) for text in texts) if at is not None), None)


def stamp(text: str | None, zone: ZoneInfo) -> dt.datetime | None:
    """``YYYY-MM-DD HH:MM:SS`` in the zone; None for the broker's "never" and for nonsense."""
    try:
        at = dt.datetime.fromisoformat(text or "")
        # The broker writes "never" as the year 1.
        return None if at.year < 2000 else at.replace(tzinfo=at.tzinfo or zone)
    except (ValueError, OverflowError):
        return None


def fill_from_row(row: object, zone: ZoneInfo, what: str = "trade row") -> Fill:
    """One row of the trade book. Raises ``BadWire``."""
    found = read(TradeRow, row, what)
    return Fill(
        broker_order_id=found.order_id,
        exchange_trade_id=found.trade_id,
        segment=_must(words.SEGMENTS, found.segment, f"{what}: exchangeSegment"),
        security_id=found.security_id,
        side=_must(words.SIDES, found.side, f"{what}: transactionType"),
        product=_must(words.HELD_PRODUCTS, found.product, f"{what}: productType"),
        quantity=found.quantity,
        price=found.price,
        traded_at=_first_stamp(zone, found.at_exchange, found.created),
        raw=Kept(row),
    )


def position_from_row(row: object, what: str = "position row") -> Position:
    """One row of the positions. Raises ``BadWire``."""
    found = read(PositionRow, row, what)
    return Position(
        segment=_must(words.SEGMENTS, found.segment, f"{what}: exchangeSegment"),
        security_id=found.security_id,
        product=_must(words.HELD_PRODUCTS, found.product, f"{what}: productType"),
        net_quantity=found.net,
        buy_quantity=found.bought,
        sell_quantity=found.sold,
        buy_average=found.buy_average,
        sell_average=found.sell_average,
        realised=found.realised,
        unrealised=found.unrealised,
    )


def holding_from_row(row: object, what: str = "holdings row") -> Holding:
    """One row of the holdings (portfolio page). Raises ``BadWire``."""
    found = read(HoldingRow, row, what)
    if found.exchange.upper() not in words.HOLDING_EXCHANGES:
        raise BadWire(f"{what}: exchange is a word that we do not know")
    return Holding(
        isin=found.isin,
        segment=words.HOLDING_EXCHANGES[found.exchange.upper()],
        security_id=found.security_id,
        symbol=(found.symbol or "")[:60],
        total=found.total,
        available=found.available,
        t1=found.t1,
        collateral=found.collateral,
        average=found.average,
    )


def approved_from_rows(rows: Sequence[object]) -> dict[str, int]:
    """Units that may leave, by ISIN (EDIS page, inquiry). Raises ``BadWire``.

    A quantity under another status than SUCCESS is left out: it is not known to be approved, and
    not known to be missing either.
    """
    found = (read(ApprovedRow, row, "eDIS inquiry") for row in rows)
    return {
        row.isin: row.approved
        for row in found
        if row.approved == 0 or row.status.upper() == words.EDIS_DONE
    }


def _must(table: dict[str, W], word: str, field: str) -> W:
    known = table.get(word.upper())
    if known is None:
        raise BadWire(f"{field} is a word that we do not know")
    return known


def funds_from_body(body: object) -> Funds:
    """The fund limit, rupees. Raises ``BadWire``."""
    found = read(FundsBody, body, "funds")
    return Funds(
        available=found.available,
        utilised=found.utilised,
        opening=found.opening,
        collateral=found.collateral,
    )


def kill_switch_from_body(body: object) -> bool:
    """ACTIVATE or DEACTIVATE (trader's control page). Raises ``BadWire`` for any other word."""
    word = read(KillSwitchBody, body, "kill switch").status.upper()
    return _must({"ACTIVATE": True, "DEACTIVATE": False}, word, "kill switch: killSwitchStatus")


def profile_from_body(body: object) -> Profile:
    """The profile; ``tokenValidity`` is DD/MM/YYYY HH:MM, Indian time (recorded on the wire)."""
    found = read(ProfileBody, body, "profile")
    parts = (part.strip() for part in (found.active_segment or "").split(","))
    return Profile(
        client_id=found.client_id,
        token_valid_until=_token_validity(found.token_validity),
        segments=tuple(part for part in parts if part),
        ddpi=known(words.DDPI, found.ddpi),
    )


def _token_validity(text: str | None) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(text or "", "%d/%m/%Y %H:%M").replace(tzinfo=INDIA)
    except ValueError:
        return None


def address_from_body(body: object) -> Address:
    """The list of addresses. A key that is missing, or no address, is not known."""
    found = read(AddressBody, body, "address")
    registered = [text for text in (found.primary, found.secondary) if text]
    return Address(
        detected=(found.detected or "")[:45],
        registered=tuple(registered),
        orders_allowed=found.orders_allowed,
    )


def minted_from_body(body: object) -> Minted:
    """A new token; ``expiryTime`` is ISO text without offset, Indian time (authentication page)."""
    found = read(MintedBody, body, "token reply")
    return Minted(found.token, found.client_id, _token_end(found.expiry))


def _token_end(text: str | None) -> dt.datetime | None:
    try:
        at = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=INDIA)


def quotes_from_body(body: object, wanted: Sequence[tuple[Segment, str]]) -> list[QuoteNews]:
    """What the market quote says of these instruments; the unknown are missing (recorded)."""
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, Mapping):
        raise BadWire("quotes: data is not an object")
    found = []
    for segment, security_id in wanted:
        rows = data.get(words.SEGMENT_WORD[segment])
        row = rows.get(security_id) if isinstance(rows, Mapping) else None
        if row is not None:
            found.append(_quote(segment, security_id, row))
    return found


def _quote(segment: Segment, security_id: str, row: object) -> QuoteNews:
    what = f"quote of {segment} {security_id}"
    found = read(QuoteRow, row, what)
    # A side that is not told is not known, and half a depth says nothing of when it was whole.
    sides = {side: _levels(rows, what) for side, rows in (found.depth or {}).items()}
    whole = {"buy", "sell"} <= sides.keys()
    return QuoteNews(
        segment=segment,
        security_id=security_id,
        last_price=found.last_price,
        traded_at=_trade_time(found.traded),
        close=read(CloseRow, found.ohlc, what).close,
        open_interest=found.open_interest,
        bids=sides["buy"] if whole else None,
        asks=sides["sell"] if whole else None,
        lower_circuit=found.lower_circuit,
        upper_circuit=found.upper_circuit,
    )


def _levels(rows: Sequence[object], what: str) -> tuple[Level, ...]:
    found = (read(LevelRow, row, f"{what}, depth") for row in rows)
    return tuple(
        Level(price=row.price, quantity=row.quantity, orders=row.orders)
        for row in found
        if row.price is not None
    )


def _trade_time(text: str | None) -> dt.datetime | None:
    """``DD/MM/YYYY HH:MM:SS``, Indian time; the year 1980 is "never" (market quote page)."""
    try:
        at = dt.datetime.strptime(text or "", "%d/%m/%Y %H:%M:%S").replace(tzinfo=INDIA)
    except ValueError:
        return None
    return None if at.year < 2000 else at


def margin_arguments(request: OrderRequest) -> dict[str, Any]:
    """The request as keyword arguments of the SDK's ``margin_calculator``."""
    trigger = request.trigger_price
    return {
        "security_id": str(request.security_id),
        "exchange_segment": words.SEGMENT_WORD[request.segment],
        "transaction_type": words.SIDE_WORD[request.side],
        "quantity": request.quantity,
        "product_type": words.PRODUCT_WORD[request.product],
        "price": as_float(request.price, needed=True),
        "trigger_price": -1 if trigger is None else float(trigger),  # the SDK leaves out -1
    }


def margin_row(request: OrderRequest) -> dict[str, Any]:
    """The request as one row of the calculator for several orders."""
    row = {
        "exchangeSegment": words.SEGMENT_WORD[request.segment],
        "transactionType": words.SIDE_WORD[request.side],
        "quantity": request.quantity,
        "productType": words.PRODUCT_WORD[request.product],
        "securityId": str(request.security_id),
        "price": as_float(request.price, needed=True),
    }
    trigger = request.trigger_price
    return row if trigger is None else {**row, "triggerPrice": float(trigger)}


def margin_from_body(body: object) -> Margin:
    """The calculator's answer for one order, rupees. Raises ``BadWire``."""
    found = read(MarginBody, body, "margin")
    return Margin(required=found.required, available=found.available, raw=storable(body))


def margins_from_body(body: object) -> Margin:
    """The calculator's answer for several orders, which says nothing of what is free."""
    found = read(MarginsBody, body, "margin")
    return Margin(required=found.required, available=None, raw=storable(body))


def place_arguments(request: OrderRequest) -> dict[str, Any]:
    """The request as keyword arguments of the SDK's ``place_order``."""
    return {
        "security_id": str(request.security_id),
        "exchange_segment": words.SEGMENT_WORD[request.segment],
        "transaction_type": words.SIDE_WORD[request.side],
        "quantity": request.quantity,
        "order_type": type_word(request.order_type),
        "product_type": words.PRODUCT_WORD[request.product],
        "validity": words.VALIDITY_WORD[request.validity],
        "disclosed_quantity": request.disclosed_quantity,
        "after_market_order": request.after_market,
        "amo_time": words.AFTER_MARKET_TIME,
        "tag": request.correlation_id,
        **_prices(request),
    }


def modify_arguments(request: ModifyRequest) -> dict[str, Any]:
    """The request as keyword arguments of the SDK's ``modify_order``; quantity is the total."""
    return {
        "order_id": request.broker_order_id,
        "order_type": type_word(request.order_type),
        "leg_name": None,
        "quantity": request.quantity,
        "disclosed_quantity": request.disclosed_quantity,
        "validity": words.VALIDITY_WORD[request.validity],
        **_prices(request),
    }


def type_word(order_type: OrderType) -> str:
    """The broker's word for a type that is sent. Raises ``ValueError`` for the others."""
    if order_type not in words.ORDER_TYPE_WORD:
        raise ValueError(f"{order_type} is never sent as such")
    return words.ORDER_TYPE_WORD[order_type]


def _prices(request: OrderRequest | ModifyRequest) -> dict[str, float]:
    """The SDK speaks float; every price on a tick of 0.0001 survives the way there and back."""
    stop = request.order_type is OrderType.STOP_LIMIT
    return {
        "price": as_float(request.price, needed=True),
        "trigger_price": as_float(request.trigger_price, needed=stop),
    }


def as_float(value: Decimal | None, *, needed: bool) -> float:
    """The number that the SDK asks for; 0 only where ``body_to_send`` leaves the field out."""
    if value is None and needed:
        raise ValueError("an order that needs a price has none")
    return 0.0 if value is None else float(value)


def body_to_send(payload: dict[str, Any], client_id: str) -> dict[str, Any]:
    """The SDK's body without what must be left out, and with the client id.

    The broker refuses empty texts (recorded in the sandbox), and only a stop order has a trigger,
    and a cover order, whose stop it is.
    """
    body = {key: value for key, value in payload.items() if value is not None and value != ""}
    stop = body.get("orderType") == words.ORDER_TYPE_WORD[OrderType.STOP_LIMIT]
    if not stop and body.get("productType") != words.COVER:
        body.pop("triggerPrice", None)
    if not body.get("disclosedQuantity"):
        body.pop("disclosedQuantity", None)
    return {"dhanClientId": client_id, **body}
