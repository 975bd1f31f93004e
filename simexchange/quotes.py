"""Market quotes over REST: last price, day range, depth.

DhanHQ v2 documentation, market quote page: segments map to lists of ids, at most 1000 in all;
unknown instruments are just missing from the reply (live wire).
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from simexchange.book import Level
from simexchange.exchange import Exchange
from simexchange.market import DEPTH_LEVELS, Market
from simexchange.money import PAISA, wire
from simexchange.replies import RefusedError, Reply, data_error
from simexchange.trading import Call

MOST_INSTRUMENTS = 1000
Row = dict[str, Any]


class Quotes:
    """The three quote endpoints."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def last_price(self, call: Call) -> Reply:
        return self._reply(call, _last)

    def ohlc(self, call: Call) -> Reply:
        return self._reply(call, _range)

    def quote(self, call: Call) -> Reply:
        return self._reply(call, _full)

    def _reply(self, call: Call, render: Callable[[Market], Row]) -> Reply:
        if call.client_header != call.account.client_id:
            raise RefusedError(data_error(810, "Client ID is invalid"))
        wanted = {name: ids for name, ids in call.body.items() if name != "dhanClientId"}
        if not wanted or not all(isinstance(ids, list) for ids in wanted.values()):
            raise RefusedError(data_error(814, "Invalid Request"))
        if sum(map(len, wanted.values())) > MOST_INSTRUMENTS:
            raise RefusedError(data_error(804, "Requested number of instruments exceeds limit"))
        data: dict[str, dict[str, Row]] = {}
        for segment, ids in wanted.items():
            keys = [(segment, str(each)) for each in ids]
            known = [key for key in keys if key in self._exchange.ledger.instruments]
            data[segment] = {key[1]: render(self._exchange.markets[key]) for key in known}
        return Reply(200, {"data": data, "status": "success"})


def _rupees(market: Market, amount: Decimal) -> float:
    """To the paisa, or as fine as the ticks of currencies are."""
    return wire(amount, min(PAISA, market.instrument.tick))


def _last(market: Market) -> Row:
    return {"last_price": _rupees(market, market.last)}


def _range(market: Market) -> Row:
    return {
        "last_price": _rupees(market, market.last),
        "ohlc": {
            "open": _rupees(market, market.open),
            "close": _rupees(market, market.instrument.close),
            "high": _rupees(market, market.high),
            "low": _rupees(market, market.low),
        },
    }


def _full(market: Market) -> Row:
    instrument, street, bids = market.instrument, market.book.street, market.shown_bids
    return {
        "average_price": _rupees(market, (market.high + market.low) / 2),
        "buy_quantity": sum(level.quantity for level in bids),
        "depth": {"buy": _levels(market, bids), "sell": _levels(market, street.asks)},
        "last_quantity": instrument.lot,
        "last_trade_time": "01/01/1980 00:00:00",
        "lower_circuit_limit": _rupees(market, instrument.lower),
        "net_change": _rupees(market, market.last - instrument.close),
        "oi": 0,
        "oi_day_high": 0,
        "oi_day_low": 0,
        "sell_quantity": sum(level.quantity for level in street.asks),
        "upper_circuit_limit": _rupees(market, instrument.upper),
        "volume": market.volume,
        **_range(market),
    }


def _levels(market: Market, levels: list[Level]) -> list[Row]:
    """Always five rows; missing ones are zeros."""
    shown = [
        {"quantity": v.quantity, "orders": 1, "price": _rupees(market, v.price)} for v in levels
    ]
    empty = {"quantity": 0, "orders": 0, "price": 0}
    return (shown + [empty] * DEPTH_LEVELS)[:DEPTH_LEVELS]
