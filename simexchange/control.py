"""Control of the broker's behaviour under /_sim/: reports, failures, the feed, the limits."""

from typing import Any

from aiohttp import web

from simexchange import instruments
from simexchange.asking import Asked, BadControlError, route
from simexchange.clock import ShiftedClock
from simexchange.exchange import Exchange
from simexchange.fault_orders import FIELDS, read_fault, read_plan
from simexchange.faults import Fault
from simexchange.limits import RateLimits
from simexchange.market_feed import MarketFeed
from simexchange.report import report, state
from simexchange.request_log import RequestLog
from simexchange.saboteur import Saboteur
from simexchange.sockets import OrderFeed
from simexchange.super_control import SuperControl
from simexchange.tokens import TokenDesk


class Control:
    """One function per control endpoint, from what was asked to a JSON answer."""

    def __init__(
        self,
        exchange: Exchange,
        limits: RateLimits,
        saboteur: Saboteur,
        log: RequestLog,
        feed: OrderFeed,
        market_feed: MarketFeed,
        desk: TokenDesk,
        clock: ShiftedClock,
        supers: SuperControl,
    ) -> None:
        self._desk = desk
        self._exchange = exchange
        self._ledger = exchange.ledger
        self._limits = limits
        self._saboteur = saboteur
        self._faults = saboteur.faults
        self._log = log
        self._feed = feed
        self._market_feed = market_feed
        self._clock = clock
        self._supers = supers

    def routes(self) -> list[web.RouteDef]:
        return [
            route("GET", "report", self._report),
            route("GET", "requests", self._requests),
            route("GET", "instruments", self._instruments),
            route("GET", "state", self._state),
            route("GET", "faults", self._list_faults),
            route("POST", "faults", self._add_fault),
            route("DELETE", "faults", self._clear_faults),
            route("DELETE", "faults/{id}", self._remove_fault),
            route("GET", "schedule", self._schedule),
            route("POST", "schedule", self._set_schedule),
            route("DELETE", "schedule", self._end_schedule),
            route("POST", "feed", self._steer_feed),
            route("POST", "market_feed", self._steer_market_feed),
            route("POST", "limits", self._switch_limits),
            route("POST", "reset", self._reset),
        ]

    # ---- reading

    def _report(self, asked: Asked, request: web.Request) -> object:
        counted = report(self._exchange, self._limits, self._faults, self._log)
        return {
            **counted,
            "feed_connections": self._feed.counts(),
            "market_feed": self._market_feed.counts(),
        }

    def _requests(self, asked: Asked, request: web.Request) -> object:
        since = request.query.get("since", "0")
        if not since.isdecimal():
            raise BadControlError("since: the number of a request is needed")
        return self._log.since(int(since))

    def _instruments(self, asked: Asked, request: web.Request) -> object:
        return [instruments.to_row(i) for i in self._ledger.instruments.values()]

    def _state(self, asked: Asked, request: web.Request) -> object:
        return state(self._exchange)

    # ---- failures

    def _list_faults(self, asked: Asked, request: web.Request) -> object:
        return [_fault_row(fault) for fault in self._faults]

    def _add_fault(self, asked: Asked, request: web.Request) -> object:
        asked.only(*FIELDS)
        return {"id": self._saboteur.order(read_fault(asked))}

    def _clear_faults(self, asked: Asked, request: web.Request) -> object:
        self._saboteur.stop()
        self._faults.clear()
        return {"faults": 0}

    def _schedule(self, asked: Asked, request: web.Request) -> object:
        plan = self._saboteur.plan
        rows = [{"at": second, **_fault_row(fault)} for second, fault in plan]
        return {"ordered": self._saboteur.ordered, "plan": rows}

    def _set_schedule(self, asked: Asked, request: web.Request) -> object:
        self._saboteur.follow(read_plan(asked.body, self._exchange.seed))
        return {"planned": len(self._saboteur.plan)}

    def _end_schedule(self, asked: Asked, request: web.Request) -> object:
        self._saboteur.stop()
        return {"planned": 0}

    def _remove_fault(self, asked: Asked, request: web.Request) -> object:
        number = request.match_info["id"]
        if not number.isdecimal() or not self._faults.remove(int(number)):
            raise BadControlError(f"id: there is no fault {number}")
        return {"removed": int(number)}

    def _steer_feed(self, asked: Asked, request: web.Request) -> object:
        asked.only("action", "client_id")
        action = asked.choice("action", ("disconnect", "silence", "resume"))
        name = asked.maybe_text("client_id")
        client_id = None if name is None else self._client(name)
        if action == "disconnect":
            return {"disconnected": self._feed.disconnect(client_id)}
        if action == "silence":
            self._feed.silence(client_id)
        else:
            self._feed.resume(client_id)
        return {"action": action}

    def _steer_market_feed(self, asked: Asked, request: web.Request) -> object:
        asked.only("action", "client_id", "reason")
        action = asked.choice("action", ("disconnect", "silence", "freeze", "resume"))
        name = asked.maybe_text("client_id")
        client_id = None if name is None else self._client(name)
        if action == "disconnect":
            reason = asked.whole("reason")
            return {"disconnected": self._market_feed.disconnect(client_id, reason)}
        if action == "silence":
            self._market_feed.silence(client_id)
        elif action == "freeze":
            self._market_feed.freeze()
        else:
            self._market_feed.resume(client_id)
        return {"action": action}

    def _switch_limits(self, asked: Asked, request: web.Request) -> object:
        asked.only("on", "longer")
        self._limits.on, self._limits.longer = asked.flag("on"), asked.flag("longer", True)
        return {"on": self._limits.on, "longer": self._limits.longer}

    def _reset(self, asked: Asked, request: web.Request) -> object:
        """Back to the start: no orders, trades, positions, faults or counts; accounts stay.

        Each has the token again that it began with.
        """
        asked.only("walk")
        self._exchange.reset(walk=asked.flag("walk", True))
        self._saboteur.stop()
        self._faults.reset()
        self._limits.clear()
        self._supers.reset()
        self._log.clear()
        self._feed.resume(None)
        self._market_feed.resume(None)
        self._clock.shift_seconds = 0.0
        self._desk.forget()
        return {"reset": True}

    # ---- looking things up

    def _client(self, client_id: str) -> str:
        if client_id not in self._ledger.accounts:
            known = ", ".join(self._ledger.accounts)
            raise BadControlError(f"client_id: unknown; known are {known}")
        return client_id


def _fault_row(fault: Fault) -> dict[str, Any]:
    names = ("id", *FIELDS, "fired")
    return {name: getattr(fault, name) for name in names}
