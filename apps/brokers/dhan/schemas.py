"""What DhanHQ's replies must look like for us to believe them; other keys are left alone.

Sources: DhanHQ v2 documentation, orders, portfolio, funds, user-profile and order-update pages,
with what was recorded on the wire where it differs.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from apps.brokers.dhan.fields import (
    Flag,
    Id,
    NoId,
    NoPrice,
    NoUnits,
    NumberText,
    Price,
    Rows,
    Rupees,
    SignedUnits,
    SomeUnits,
    Text,
    Token,
    Units,
    Word,
)
from apps.brokers.port import BadWire


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class OrderReply(_Reply):
    """The answer to place, modify and cancel; the id must be text, as documented."""

    order_id: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9A-Za-z]{1,40}$")] = (
        Field(alias="orderId")
    )
    status: Word = Field(alias="orderStatus")


class KillSwitchBody(_Reply):
    """The account's kill switch: a sentence after turning it, a word when asked for."""

    status: Word = Field(alias="killSwitchStatus")


class OrderRow(_Reply):
    """A row of the order book, or the body of a postback (there ``filled_qty``)."""

    order_id: Id = Field(alias="orderId")
    status: Word = Field(alias="orderStatus")
    correlation_id: Text = Field(None, alias="correlationId")
    exchange_order_id: Text = Field(None, alias="exchangeOrderId")
    segment: Text = Field(None, alias="exchangeSegment")
    security_id: Text = Field(None, alias="securityId")
    side: Text = Field(None, alias="transactionType")
    product: Text = Field(None, alias="productType")
    order_type: Text = Field(None, alias="orderType")
    quantity: NoUnits = None
    filled: NoUnits = Field(None, validation_alias=AliasChoices("filledQty", "filled_qty"))
    average: NoPrice = Field(None, alias="averageTradedPrice")
    price: NoPrice = None
    trigger: NoPrice = Field(None, alias="triggerPrice")
    reason: Text = Field(None, alias="omsErrorDescription")
    validity: Text = None
    leg: Text = Field(None, alias="legName")
    after_market: Flag = Field(None, alias="afterMarketOrder")
    updated: Text = Field(None, alias="updateTime")
    at_exchange: Text = Field(None, alias="exchangeTime")
    created: Text = Field(None, alias="createTime")


class SuperRow(_Reply):
    """What a row of the super orders has besides that of an order: its target and stop."""

    legs: Rows = Field(alias="legDetails")


class SuperLegRow(_Reply):
    """A target or stop of a super order.

    The classic page gives it an id and the total of the stop alone, misspelt, and calls the level
    of a stop its price; the portal gives quantity and trigger and no id.
    """

    leg: Word = Field(alias="legName")
    status: Word = Field(alias="orderStatus")
    order_id: NoId = Field(None, alias="orderId")
    exchange_order_id: Text = Field(None, alias="exchangeOrderId")
    side: Text = Field(None, alias="transactionType")
    order_type: Text = Field(None, alias="orderType")
    total: NoUnits = Field(
        None, validation_alias=AliasChoices("totalQuatity", "totalQuantity", "quantity")
    )
    remaining: NoUnits = Field(None, alias="remainingQuantity")
    triggered: NoUnits = Field(None, alias="triggeredQuantity")
    price: NoPrice = None
    trigger: NoPrice = Field(None, alias="triggerPrice")


class OrderFrame(_Reply):
    """``Data`` of a socket message; the wire writes camelCase and leaves out zero and empty."""

    order_id: Id = Field(alias="orderNo")
    status: Word
    client_id: Text = Field(None, alias="clientId")
    correlation_id: Text = Field(None, alias="correlationId")
    exchange_order_id: Text = Field(None, alias="exchOrderNo")
    exchange: Text = None
    segment: Text = None
    security_id: Text = Field(None, alias="securityId")
    side: Text = Field(None, alias="txnType")
    product: Text = None
    order_type: Text = Field(None, alias="orderType")
    quantity: NoUnits = None
    filled: NoUnits = Field(None, alias="tradedQty")
    average: NoPrice = Field(None, alias="avgTradedPrice")
    price: NoPrice = None
    trigger: NoPrice = Field(None, alias="triggerPrice")
    reason: Text = Field(None, alias="reasonDescription")
    validity: Text = None
    platform: Text = Field(None, alias="source")
    remarks: Text = None
    entry_id: NumberText = Field(None, alias="algoOrdNo")
    leg_number: NumberText = Field(None, alias="legNo")
    off_market: Text = Field(None, alias="offMktFlag")
    updated: Text = Field(None, alias="lastUpdatedTime")
    at_exchange: Text = Field(None, alias="exchOrderTime")
    created: Text = Field(None, alias="orderDateTime")


class TradeRow(_Reply):
    """A row of the trade book; it carries no correlation id."""

    order_id: Id = Field(alias="orderId")
    trade_id: Id = Field(alias="exchangeTradeId")
    segment: Word = Field(alias="exchangeSegment")
    security_id: Id = Field(alias="securityId")
    side: Word = Field(alias="transactionType")
    product: Word = Field(alias="productType")
    quantity: SomeUnits = Field(alias="tradedQuantity")
    price: Price = Field(alias="tradedPrice")
    at_exchange: Text = Field(None, alias="exchangeTime")
    created: Text = Field(None, alias="createTime")


class PositionRow(_Reply):
    """A row of the positions; closed ones stay in the list all day."""

    segment: Word = Field(alias="exchangeSegment")
    security_id: Id = Field(alias="securityId")
    product: Word = Field(alias="productType")
    net: SignedUnits = Field(alias="netQty")
    bought: Units = Field(alias="buyQty")
    sold: Units = Field(alias="sellQty")
    buy_average: Price = Field(alias="buyAvg")
    sell_average: Price = Field(alias="sellAvg")
    realised: Rupees = Field(alias="realizedProfit")
    unrealised: Rupees = Field(alias="unrealizedProfit")


class HoldingRow(_Reply):
    """A row of the holdings; ``exchange`` is ALL where the share is held at no one exchange."""

    exchange: Word
    security_id: Id = Field(alias="securityId")
    isin: Id
    symbol: Text = Field(None, alias="tradingSymbol")
    total: Units = Field(alias="totalQty")
    available: Units = Field(alias="availableQty")
    t1: Units = Field(alias="t1Qty")
    collateral: Units = Field(alias="collateralQty")
    average: Price = Field(alias="avgCostPrice")


class ApprovedRow(_Reply):
    """One ISIN of an eDIS inquiry: what may leave, and what became of the approval."""

    isin: Id
    approved: Units = Field(alias="aprvdQty")
    status: Word


class FundsBody(_Reply):
    """The fund limit. ``availabelBalance`` is the broker's spelling, on the wire as in the docs."""

    available: Rupees = Field(alias="availabelBalance")
    utilised: Rupees = Field(alias="utilizedAmount")
    opening: Rupees = Field(alias="sodLimit")
    collateral: Rupees = Field(alias="collateralAmount")


class ProfileBody(_Reply):
    """Whom the token belongs to."""

    client_id: Word = Field(alias="dhanClientId")
    token_validity: Text = Field(None, alias="tokenValidity")
    active_segment: Text = Field(None, alias="activeSegment")
    ddpi: Text = None


class AddressBody(_Reply):
    """From where orders are taken; the last two keys are on the wire and not in the documents."""

    primary: Text = Field(None, alias="primaryIP")
    secondary: Text = Field(None, alias="secondaryIP")
    detected: Text = Field(None, alias="detectedIP")
    orders_allowed: Flag = Field(None, alias="ordersAllowed")


class MintedBody(_Reply):
    """A new token. ``RenewToken`` calls it ``token`` on the wire, the documents ``accessToken``."""

    token: Token = Field(validation_alias=AliasChoices("accessToken", "token"))
    client_id: Text = Field(None, alias="dhanClientId")
    expiry: Text = Field(None, alias="expiryTime")


class ConsentBody(_Reply):
    """A consent that waits for a login in the browser."""

    consent_id: Id = Field(alias="consentAppId")


class QuoteRow(_Reply):
    """One instrument of the market quote; a price of 0 is no price."""

    last_price: NoPrice
    traded: Text = Field(None, alias="last_trade_time")
    lower_circuit: NoPrice = Field(None, alias="lower_circuit_limit")
    upper_circuit: NoPrice = Field(None, alias="upper_circuit_limit")
    open_interest: NoUnits = Field(None, alias="oi")
    ohlc: dict[str, object] = Field(default_factory=dict)
    depth: dict[str, list[dict[str, object]]] | None = None


class CloseRow(_Reply):
    """``ohlc`` of a market quote; its close is the previous day's while the market is open."""

    close: NoPrice = None


class LevelRow(_Reply):
    """One level of depth; an empty one is zeros."""

    price: NoPrice
    quantity: Units
    orders: Units


class MarginBody(_Reply):
    """The margin calculator. ``availableBalance`` is spelt right here, unlike in the fund limit."""

    required: Price = Field(alias="totalMargin")
    available: Rupees = Field(alias="availableBalance")


class MarginsBody(_Reply):
    """The same for several orders: the names of the portal's page, or those of the classic one."""

    required: Price = Field(validation_alias=AliasChoices("totalMargin", "total_margin"))


M = TypeVar("M", bound=_Reply)


def read(model: type[M], value: object, what: str) -> M:
    """The value as the model; raises ``BadWire`` naming the field, never its value."""
    if not isinstance(value, dict):
        raise BadWire(f"{what} is not an object")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise BadWire(f"{what}: {first['loc'][0]} {_wrong(first)}") from None


def _wrong(first: object) -> str:
    detail = dict(first)  # type: ignore[call-overload]
    if detail["type"] == "missing":
        return "is missing"
    return str(detail["ctx"]["error"]) if detail["type"] == "value_error" else "is not an id"
