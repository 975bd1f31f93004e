"""The REST side under /v2: authentication, rate limits, faults, and the way to the handlers."""

import json
from collections.abc import Callable

from aiohttp import web

from simexchange.accounts import Account
from simexchange.clock import stamp
from simexchange.exchange import Exchange
from simexchange.faults import Faults
from simexchange.inflict import NoReplyError, Scene, inflict, respond
from simexchange.limits import RateLimits
from simexchange.quotes import Quotes
from simexchange.replies import (
    BAD_INPUT,
    BAD_TOKEN,
    TOO_MANY,
    TOO_MANY_QUOTES,
    RefusedError,
    Reply,
    unknown_path,
)
from simexchange.request_log import RequestLog, Visit
from simexchange.trading import Call, Trading

Handler = Callable[[Call], Reply]


class RestApi:
    """One web handler per endpoint, all built the same way."""

    def __init__(
        self, exchange: Exchange, limits: RateLimits, faults: Faults, log: RequestLog
    ) -> None:
        self._exchange = exchange
        self._ledger = exchange.ledger
        self._limits = limits
        self._faults = faults
        self._log = log
        self._trading = Trading(exchange)
        self._quotes = Quotes(exchange)

    def routes(self) -> list[web.RouteDef]:
        trading, quotes = self._trading, self._quotes
        return [
            self._route("POST", "/orders", "place", "order", trading.place),
            self._route("POST", "/orders/slicing", "place", "order", trading.slice),
            self._route("PUT", "/orders/{order_id}", "modify", "order", trading.modify),
            self._route("DELETE", "/orders/{order_id}", "cancel", "order", trading.cancel),
            self._route("GET", "/orders", "book", "read", trading.book),
            self._route("GET", "/orders/{order_id}", "order", "read", trading.order),
            self._route(
                "GET",
                "/orders/external/{correlation_id}",
                "by_correlation",
                "read",
                trading.by_correlation,
            ),
            self._route("GET", "/trades", "trades", "read", trading.trades),
            self._route("GET", "/trades/", "trades", "read", trading.trades),
            self._route("GET", "/trades/{order_id}", "trades", "read", trading.trades),
            self._route("GET", "/positions", "positions", "read", trading.positions),
            self._route("DELETE", "/positions", "exit_all", "order", trading.exit_all),
            self._route("POST", "/margincalculator", "margin", "read", trading.margin),
            self._route("GET", "/holdings", "holdings", "read", trading.holdings),
            self._route("GET", "/fundlimit", "funds", "read", trading.funds),
            self._route("GET", "/profile", "profile", "read", trading.profile),
            self._route("POST", "/marketfeed/ltp", "quotes", "quote", quotes.last_price),
            self._route("POST", "/marketfeed/ohlc", "quotes", "quote", quotes.ohlc),
            self._route("POST", "/marketfeed/quote", "quotes", "quote", quotes.quote),
        ]

    def _route(
        self, method: str, path: str, endpoint: str, limit: str, handler: Handler
    ) -> web.RouteDef:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, endpoint, limit, handler)

        return web.route(method, f"/v2{path}", serve)

    async def _serve(
        self, request: web.Request, endpoint: str, limit: str, handler: Handler
    ) -> web.StreamResponse:
        raw = await request.read()
        account = self._ledger.account_for(request.headers.get("access-token", ""))
        visit = self._log.open(stamp(self._ledger.clock()), request.method, request.path, endpoint)
        visit.client_id = account.client_id if account else None
        visit.body = _read_body(raw)
        fault = self._faults.draw(endpoint, visit.client_id)

        def answer() -> Reply:
            return self._answer(request, account, visit, limit, handler)

        if fault is None:
            response = respond(answer())
        else:
            visit.fault = fault.fault
            try:
                scene = Scene(request.path_qs, answer, self._exchange)
                response = await inflict(fault, scene)
            except NoReplyError:
                return _hang_up(request)
        visit.status = response.status
        return response

    def _answer(
        self,
        request: web.Request,
        account: Account | None,
        visit: Visit,
        limit: str,
        handler: Handler,
    ) -> Reply:
        if account is None:
            return BAD_TOKEN
        if not isinstance(visit.body, dict):
            return BAD_INPUT
        if str(visit.body.get("dhanClientId", account.client_id)) != account.client_id:
            return BAD_TOKEN
        if not self._limits.admit(account.client_id, limit):
            return TOO_MANY_QUOTES if limit == "quote" else TOO_MANY
        client_header = request.headers.get("client-id")
        try:
            return handler(Call(account, visit.body, dict(request.match_info), client_header))
        except RefusedError as refusal:
            return refusal.reply


async def not_found(request: web.Request) -> web.StreamResponse:
    return respond(unknown_path(request.path))


def _read_body(raw: bytes) -> object:
    """The JSON body; an absent one counts as empty, one that is not JSON stays text."""
    if not raw:
        return {}
    try:
        body: object = json.loads(raw)
        return body
    except ValueError:
        return raw.decode(errors="replace")[:2000]


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
