"""The REST side under /v2: authentication, rate limits, faults, and the way to the handlers."""

import json
from collections.abc import Callable

from aiohttp import web

from simexchange.accounts import Account
from simexchange.clock import stamp
from simexchange.edis import Edis
from simexchange.exchange import Exchange
from simexchange.faults import Faults
from simexchange.inflict import Scene, respond
from simexchange.limits import RateLimits
from simexchange.native import NativeBrackets
from simexchange.quotes import Quotes
from simexchange.replies import (
    BAD_INPUT,
    BAD_TOKEN,
    QUOTES_EXPIRED,
    RENEWAL_REFUSED,
    TOO_MANY,
    TOO_MANY_QUOTES,
    WRONG_ADDRESS,
    RefusedError,
    Reply,
    unknown_path,
)
from simexchange.request_log import RequestLog, Visit
from simexchange.sentry import Sentry
from simexchange.serving import carry_out
from simexchange.super_orders import SuperOrders
from simexchange.tokens import TokenDesk
from simexchange.trader_control import TraderControl
from simexchange.trading import Call, Trading

Handler = Callable[[Call], Reply]
FROM_ONE_ADDRESS = {"kill_switch", "pnl_exit"}
"""Besides orders (portal, kill switch and P&L exit pages)."""


class RestApi:
    """One web handler per endpoint, all built the same way."""

    def __init__(
        self,
        exchange: Exchange,
        limits: RateLimits,
        faults: Faults,
        log: RequestLog,
        desk: TokenDesk,
        sentry: Sentry,
        edis: Edis,
        supers: SuperOrders,
        natives: NativeBrackets,
    ) -> None:
        self._exchange = exchange
        self._ledger = exchange.ledger
        self._desk = desk
        self._limits = limits
        self._faults = faults
        self._log = log
        self._trading = Trading(exchange)
        self._natives = natives
        self._control = TraderControl(sentry)
        self._edis = edis
        self._supers = supers
        self._quotes = Quotes(exchange)

    def routes(self) -> list[web.RouteDef]:
        return [
            *self._trading_routes(),
            *self._super_routes(),
            *self._account_routes(),
            *self._other_routes(),
        ]

    def _trading_routes(self) -> list[web.RouteDef]:
        trading = self._trading
        return [
            self._route("POST", "/orders", "place", "order", self._natives.place),
            self._route("POST", "/orders/slicing", "place", "order", trading.slice),
            self._route("PUT", "/orders/{order_id}", "modify", "order", self._natives.modify),
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
            self._route("DELETE", "/positions", "exit_all", "order", trading.exit_all),
            self._route("POST", "/margincalculator", "margin", "read", trading.margin),
            self._route("POST", "/margincalculator/multi", "margin", "read", trading.margins),
        ]

    def _super_routes(self) -> list[web.RouteDef]:
        supers, one = self._supers, "/super/orders/{order_id}"
        return [
            self._route("POST", "/super/orders", "super_place", "order", supers.place),
            self._route("PUT", one, "super_modify", "order", supers.modify),
            self._route("DELETE", f"{one}/{{leg}}", "super_cancel", "order", supers.cancel),
            self._route("GET", "/super/orders", "super_book", "read", supers.book),
        ]

    def _account_routes(self) -> list[web.RouteDef]:
        trading, control, edis = self._trading, self._control, self._edis
        return [
            self._route("GET", "/positions", "positions", "read", trading.positions),
            self._route("GET", "/holdings", "holdings", "read", trading.holdings),
            self._route("GET", "/fundlimit", "funds", "read", trading.funds),
            self._route("GET", "/profile", "profile", "read", trading.profile),
            self._route("POST", "/killswitch", "kill_switch", "read", control.turn_kill_switch),
            self._route("GET", "/killswitch", "kill_status", "read", control.kill_switch),
            self._route("POST", "/pnlExit", "pnl_exit", "read", control.set_pnl_exit),
            self._route("DELETE", "/pnlExit", "pnl_exit", "read", control.stop_pnl_exit),
            self._route("GET", "/pnlExit", "pnl_status", "read", control.pnl_exit),
            self._route("GET", "/edis/tpin", "edis", "read", edis.tpin),
            self._route("POST", "/edis/form", "edis", "read", edis.form),
            self._route("GET", "/edis/inquire/{isin}", "edis", "read", edis.inquire),
        ]

    def _other_routes(self) -> list[web.RouteDef]:
        trading, quotes = self._trading, self._quotes
        return [
            self._route("GET", "/ip/getIP", "get_ip", "read", trading.addresses),
            self._route("GET", "/RenewToken", "renew", "read", self._desk.renew),
            self._route("POST", "/RenewToken", "renew", "read", lambda call: BAD_INPUT),
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

        return await carry_out(fault, visit, Scene(request, answer, self._exchange))

    def _answer(
        self,
        request: web.Request,
        account: Account | None,
        visit: Visit,
        limit: str,
        handler: Handler,
    ) -> Reply:
        if account is None or account.access.is_over(self._ledger.clock()):
            return _not_let_in(visit.endpoint, known=account is not None)
        if not isinstance(visit.body, dict):
            return BAD_INPUT
        if str(visit.body.get("dhanClientId", account.client_id)) != account.client_id:
            return BAD_TOKEN
        if not self._limits.admit(account.client_id, limit):
            return TOO_MANY_QUOTES if limit == "quote" else TOO_MANY
        from_anywhere = limit != "order" and visit.endpoint not in FROM_ONE_ADDRESS
        if not from_anywhere and not account.access.address_allowed:
            return WRONG_ADDRESS
        call = Call(
            account,
            visit.body,
            dict(request.match_info),
            request.headers.get("client-id"),
            request.remote or "",
            f"{request.scheme}://{request.host}",
            request.query,
            request.headers,
        )
        try:
            return handler(call)
        except RefusedError as refusal:
            return refusal.reply


def _not_let_in(endpoint: str, *, known: bool) -> Reply:
    """A renewal calls it an order error (recorded); quotes have numbers of their own."""
    if endpoint == "renew":
        return RENEWAL_REFUSED
    return QUOTES_EXPIRED if known and endpoint == "quotes" else BAD_TOKEN


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
