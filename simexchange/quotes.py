"""Market quotes over REST: last price, day range, depth.

DhanHQ v2 documentation, market quote page: segments map to lists of ids, at most 1000 in all;
unknown instruments are just missing from the reply (live wire).
"""

from collections.abc import Callable
from typing import Any

from simexchange.book import Level
from simexchange.exchange import Exchange
from simexchange.market import DEPTH_LEVELS, Market
from simexchange.money import wire
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


def _last(market: Market) -> Row:
    return {"last_price": wire(market.last)}


def _range(market: Market) -> Row:
    return {
        "last_price": wire(market.last),
        "ohlc": {
            "open": wire(market.open),
            "close": wire(market.instrument.close),
            "high": wire(market.high),
            "low": wire(market.low),
        },
    }


def _full(market: Market) -> Row:
    instrument, street, bids = market.instrument, market.book.street, market.shown_bids
    return {
        "average_price": wire((market.high + market.low) / 2),
        "buy_quantity": sum(level.quantity for level in bids),
        "depth": {"buy": _levels(bids), "sell": _levels(street.asks)},
        "last_quantity": instrument.lot,
        "last_trade_time": "01/01/1980 00:00:00",
        "lower_circuit_limit": wire(instrument.lower),
        "net_change": wire(market.last - instrument.close),
        "oi": 0,
        "oi_day_high": 0,
        "oi_day_low": 0,
        "sell_quantity": sum(level.quantity for level in street.asks),
        "upper_circuit_limit": wire(instrument.upper),
        "volume": market.volume,
        **_range(market),
    }


def _levels(levels: list[Level]) -> list[Row]:
    """Always five rows; missing ones are zeros."""
    shown = [{"quantity": v.quantity, "orders": 1, "price": wire(v.price)} for v in levels]
    empty = {"quantity": 0, "orders": 0, "price": 0}
    return (shown + [empty] * DEPTH_LEVELS)[:DEPTH_LEVELS]
