"""The broker's master files over HTTP, as they are on the exchange's day."""

from collections.abc import Callable
from datetime import date, datetime, time

from aiohttp import web

from simexchange import master
from simexchange.clock import IST, stamp
from simexchange.exchange import Exchange
from simexchange.faults import Faults
from simexchange.inflict import Scene
from simexchange.instruments import Instrument
from simexchange.native import NativeBrackets
from simexchange.replies import Reply
from simexchange.request_log import RequestLog
from simexchange.serving import carry_out

WRITTEN_AT = time(6, 0, tzinfo=IST)
"""When the day's files are written; the broker publishes no time."""
Listed = Callable[[date], list[Instrument]]


class MasterFiles:
    """Both files. What a new day lists can be traded from the moment its file is read."""

    def __init__(
        self,
        exchange: Exchange,
        faults: Faults,
        log: RequestLog,
        listed: Listed,
        natives: NativeBrackets,
    ) -> None:
        self._exchange = exchange
        self._natives = natives
        self._ledger = exchange.ledger
        self._faults = faults
        self._log = log
        self._listed = listed
        self._made_for = (date.min, False)
        self._files: dict[str, bytes] = {}

    def routes(self) -> list[web.RouteDef]:
        return [self._route(kind, path) for kind, path in master.PATHS.items()]

    def _route(self, kind: str, path: str) -> web.RouteDef:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, kind)

        return web.get(path, serve)

    async def _serve(self, request: web.Request, kind: str) -> web.StreamResponse:
        visit = self._log.open(stamp(self._ledger.clock()), request.method, request.path, "master")
        fault = self._faults.draw("master", None)

        def answer() -> Reply:
            return self._reply(kind)

        return await carry_out(fault, visit, Scene(request, answer, self._exchange))

    def _reply(self, kind: str) -> Reply:
        today = self._ledger.clock().date()
        native = self._natives.on
        if (today, native) != self._made_for:
            listed = self._listed(today)
            for each in listed:
                self._ledger.instruments.setdefault(each.key, each)
            self._files = {
                name: "".join(master.lines(name, listed, native=native)).encode()
                for name in master.PATHS
            }
            self._made_for = (today, native)
        return Reply(200, None, self._files[kind], datetime.combine(today, WRITTEN_AT))
