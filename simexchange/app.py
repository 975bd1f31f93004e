"""Puts the parts together and runs them as one web server."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from aiohttp import web

from simexchange import fault_orders, instruments, journal
from simexchange.access_control import AccessControl
from simexchange.account_control import AccountControl
from simexchange.accounts import Account, default_accounts
from simexchange.clock import ShiftedClock
from simexchange.control import Control
from simexchange.door import Door
from simexchange.edis import Edis
from simexchange.exchange import Exchange
from simexchange.faults import CUT, CUT_MARKET, REFUSE, Faults
from simexchange.hours import SessionHours
from simexchange.instruments import Instrument
from simexchange.journal import Journal
from simexchange.ledger import Ledger
from simexchange.limits import RateLimits
from simexchange.listing import listed
from simexchange.market_control import MarketControl
from simexchange.market_feed import MarketFeed
from simexchange.master_files import MasterFiles
from simexchange.native import NativeBrackets
from simexchange.request_log import RequestLog
from simexchange.rest import RestApi, not_found
from simexchange.saboteur import Saboteur
from simexchange.sentry import Sentry
from simexchange.sockets import OrderFeed
from simexchange.super_control import SuperControl
from simexchange.super_desk import SuperDesk
from simexchange.super_life import SuperLife
from simexchange.super_orders import SuperOrders
from simexchange.tokens import AuthApi, TokenDesk
from simexchange.trading import Trading

SHUTDOWN_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. Times in milliseconds; `token_life` None: 24 hours, but the
    tokens of the start never end.
    """

    host: str = "127.0.0.1"
    port: int = 9100
    seed: int = 1
    accounts: list[Account] = field(default_factory=default_accounts)
    instruments: Path | None = None
    universe: int = 0
    rate_limits: bool = True
    hours: bool = False
    state: Path | None = None
    faults: Path | None = None
    tick_ms: int = 500
    transit_ms: int = 20
    token_life: timedelta | None = None


def _listing(options: Options) -> Callable[[date], list[Instrument]]:
    """What is listed on a day."""
    shipped = instruments.load(options.instruments)
    return lambda day: list(listed(shipped, options.universe, options.seed, day))


def _open_exchange(
    options: Options, loop: asyncio.AbstractEventLoop, clock: ShiftedClock, table: list[Instrument]
) -> Exchange:
    """Take up where the state file ends, or begin."""
    past = list(journal.read(options.state))
    known = {each.key: each for each in table}
    ledger = Ledger(known, options.accounts, clock, Journal(options.state))
    exchange = Exchange(
        ledger,
        options.seed,
        loop.call_later,
        options.transit_ms / 1000,
        SessionHours(options.hours),
    )
    exchange.restore(iter(past))
    return exchange


def build(
    options: Options, loop: asyncio.AbstractEventLoop, door: Door
) -> tuple[web.Application, Exchange, TokenDesk]:
    clock, listed_on = ShiftedClock(), _listing(options)
    plan = fault_orders.read_file(options.faults, options.seed)
    exchange = _open_exchange(options, loop, clock, listed_on(clock().date()))
    ledger = exchange.ledger
    limits = RateLimits(loop.time, options.rate_limits)
    faults, log = Faults(options.seed), RequestLog()
    feed, market_feed = OrderFeed(ledger, faults), MarketFeed(exchange, faults)
    desk = TokenDesk(ledger, (feed, market_feed), limits, options.seed, options.token_life)
    sentry, edis = Sentry(exchange), Edis(ledger)
    supers = SuperOrders(exchange, SuperDesk(exchange, SuperLife(exchange, faults)))
    natives = NativeBrackets(exchange, Trading(exchange), supers.desk)
    outages = {REFUSE: door.refuse, CUT: feed.cut, CUT_MARKET: market_feed.cut}
    saboteur = Saboteur(faults, outages, loop.call_later, loop.time)
    saboteur.follow(plan)
    app = web.Application(middlewares=[door.watch()])
    rest = RestApi(exchange, limits, faults, log, desk, sentry, edis, supers, natives)
    app.add_routes(rest.routes())
    app.add_routes(AuthApi(desk, exchange, faults, log).routes())
    app.add_routes(MasterFiles(exchange, faults, log, listed_on, natives).routes())
    super_control = SuperControl(ledger, supers, natives)
    control = Control(
        exchange, limits, saboteur, log, feed, market_feed, desk, clock, super_control
    )
    app.add_routes(control.routes())
    app.add_routes(super_control.routes())
    app.add_routes(MarketControl(exchange, clock).routes())
    app.add_routes(AccessControl(ledger, desk).routes())
    app.add_routes(AccountControl(exchange, edis, natives).routes())
    app.add_routes([web.post("/eDIS/VerifyDIS/", edis.depository)])
    app.add_routes([web.get("/", feed.serve), web.get("/order-update", feed.serve)])
    app.add_routes([web.get("/market-feed", market_feed.serve)])
    app.add_routes([web.route("*", "/{tail:.*}", not_found)])
    return app, exchange, desk


async def serve(options: Options) -> None:
    """Run until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    door = Door(options.host, options.port)
    app, exchange, desk = build(options, loop, door)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    port = await door.open(runner)
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    ticker = asyncio.create_task(_tick(exchange, desk, options.tick_ms / 1000))
    print(
        f"simexchange listening on http://{options.host}:{port} "
        "(REST at /v2, order updates at /order-update, prices at /market-feed)",
        flush=True,
    )
    await stopped.wait()
    ticker.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ticker
    await runner.cleanup()
    exchange.ledger.save_prices(exchange.floor.prices())
    exchange.ledger.close()


async def _tick(exchange: Exchange, desk: TokenDesk, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        exchange.tick()
        desk.end_sockets_of_ended_tokens()
