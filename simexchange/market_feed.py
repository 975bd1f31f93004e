"""The market feed socket: log in by address, subscribe, then hear every change of price.

DhanHQ v2 documentation, live market feed page: token and client id in the query, JSON requests of
at most 100 instruments, binary packets; five connections per client, of which a sixth ends the
oldest; the server pings every 10 s and closes after 40 s without an answer.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from simexchange import packets
from simexchange.exchange import Exchange
from simexchange.faults import Fault, Faults
from simexchange.frames import TOKEN_EXPIRED, farewell
from simexchange.inflict import respond
from simexchange.instruments import Key
from simexchange.market import Market
from simexchange.packets import Picture
from simexchange.replies import data_error, unknown_path
from simexchange.shutter import Shutter, abort

DISCONNECT = 12
SUBSCRIBE = {15: packets.ticker, 17: packets.quote, 21: packets.full}
UNSUBSCRIBE = {16, 18, 22}
MOST_IN_MESSAGE, MOST_INSTRUMENTS, MOST_CONNECTIONS = 100, 5000, 5
PING_EVERY, ANSWER_WITHIN = 10.0, 40.0
TOO_MANY_INSTRUMENTS, TOO_MANY_CONNECTIONS, NO_ACCESS, BAD_REQUEST = 804, 805, 808, 814
UNKNOWN_PACKET = struct.pack("<BhBi", 99, 12, 1, 0) + b"\0" * 4
Encode = Callable[[Picture], bytes]


@dataclass(eq=False, slots=True)
class Line:
    """One connection, what it wants to hear, and the frames waiting to go out on it."""

    client_id: str
    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    wanted: dict[Key, Encode] = field(default_factory=dict)
    frames: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    answered_at: float = 0.0

    async def send_all(self) -> None:
        with contextlib.suppress(ConnectionError):
            while not self.socket.closed:
                await self.socket.send_bytes(await self.frames.get())

    async def ping_on(self) -> None:
        with contextlib.suppress(ConnectionError):
            while not self.socket.closed:
                await self.socket.ping()
                await asyncio.sleep(PING_EVERY)
                if asyncio.get_running_loop().time() - self.answered_at > ANSWER_WITHIN:
                    await self.socket.close()


class MarketFeed:
    """Every connection of the market feed."""

    def __init__(self, exchange: Exchange, faults: Faults) -> None:
        self._exchange = exchange
        self._ledger = exchange.ledger
        self._faults = faults
        self._lines: list[Line] = []
        self._silent: set[str | None] = set()
        self._shutter = Shutter()
        self._frozen: dict[Key, Picture] = {}
        self._traded: dict[Key, datetime] = {}
        self._began = self._ledger.clock()
        self._tasks: set[asyncio.Task[Any]] = set()
        exchange.price_listeners.append(self.tell)

    def counts(self) -> dict[str, dict[str, int]]:
        """Connections and subscribed instruments by client id."""
        told: dict[str, dict[str, int]] = {}
        for line in self._lines:
            row = told.setdefault(line.client_id, {"connections": 0, "instruments": 0})
            row["connections"] += 1
            row["instruments"] += len(line.wanted)
        return told

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self._shutter.is_shut:
            return abort(request.transport)
        socket = web.WebSocketResponse(autoping=False)
        if not socket.can_prepare(request).ok:
            return respond(unknown_path(request.path))
        if request.query.get("version") != "2" or request.query.get("authType") != "2":
            return respond(data_error(BAD_REQUEST, "Invalid Request"))
        await socket.prepare(request)
        client_id, token = request.query.get("clientId", ""), request.query.get("token", "")
        account = self._ledger.accounts.get(client_id)
        over = account is not None and account.access.is_over(self._ledger.clock())
        if account is None or account.token != token or over:
            await socket.send_bytes(farewell(TOKEN_EXPIRED if over else NO_ACCESS))
            await socket.close()
            return socket
        await self._converse(Line(client_id, socket, request.transport))
        return socket

    def tell(self, moved: Iterable[Market]) -> None:
        """Let every connection hear of the markets that moved: one frame, several packets."""
        there = {market.instrument.key: market for market in moved}
        self._traded |= dict.fromkeys(there, self._ledger.clock())
        wanted = {key for line in self._lines for key in line.wanted}
        pictures = {key: self._picture(there[key]) for key in there.keys() & wanted}
        for line in list(self._lines):
            told = [encode(pictures[key]) for key, encode in line.wanted.items() if key in pictures]
            if told:
                self._send(line, told)

    def disconnect(self, client_id: str | None = None, reason: int | None = None) -> int:
        """Close the connections of a client, or all; returns how many there were."""
        lines = [line for line in self._lines if client_id in {None, line.client_id}]
        for line in lines:
            self._close(line, reason)
        return len(lines)

    def cut(self, seconds: float) -> None:
        """Take every connection down without a word, and take none for so long."""
        self._shutter.shut(seconds)
        for line in self._lines:
            abort(line.transport)

    def silence(self, client_id: str | None) -> None:
        """Packets are lost from now on, while the connection stays up and answers pings."""
        self._silent.add(client_id)

    def freeze(self) -> None:
        """Go on telling the prices of this moment, however the markets move."""
        markets = self._exchange.markets
        self._frozen = {key: self._picture(market) for key, market in markets.items()}

    def resume(self, client_id: str | None) -> None:
        self._frozen = {}
        if client_id is None:
            self._silent.clear()
        else:
            self._silent.discard(client_id)

    # ---- inside

    async def _converse(self, line: Line) -> None:
        mine = [each for each in self._lines if each.client_id == line.client_id]
        for oldest in mine[: max(len(mine) - MOST_CONNECTIONS + 1, 0)]:
            self._close(oldest, TOO_MANY_CONNECTIONS)
        self._lines.append(line)
        line.answered_at = asyncio.get_running_loop().time()
        tasks = [asyncio.create_task(line.send_all()), asyncio.create_task(line.ping_on())]
        line.frames.put_nowait(packets.market_status())
        try:
            async for message in line.socket:
                await self._hear(line, message)
        finally:
            self._forget(line)
            for task in tasks:
                task.cancel()

    async def _hear(self, line: Line, message: WSMessage) -> None:
        if message.type is WSMsgType.PING:
            await line.socket.pong(message.data)
        elif message.type is WSMsgType.PONG:
            line.answered_at = asyncio.get_running_loop().time()
        elif message.type is WSMsgType.TEXT:
            self._obey(line, message.data)

    def _obey(self, line: Line, text: str) -> None:
        asked = _read_request(text)
        if asked is None:
            self._close(line, BAD_REQUEST)
            return
        code, keys = asked
        if code == DISCONNECT:
            self._close(line, None)
        elif len(keys) > MOST_IN_MESSAGE or len(line.wanted) + len(keys) > MOST_INSTRUMENTS:
            self._close(line, TOO_MANY_INSTRUMENTS)
        elif code in UNSUBSCRIBE:
            for key in keys:
                line.wanted.pop(key, None)
        else:
            self._subscribe(line, SUBSCRIBE[code], keys)

    def _subscribe(self, line: Line, encode: Encode, keys: list[Key]) -> None:
        """Unknown instruments are passed over without a word; the others are told of at once."""
        first: list[bytes] = []
        for key in keys:
            if key not in self._ledger.instruments:
                continue
            market = self._exchange.markets[key]
            line.wanted[key] = encode
            if market.instrument.is_index:
                first.append(packets.previous_close(market.instrument))
            first.append(encode(self._picture(market)))
            if encode is packets.quote and not market.instrument.is_equity:
                first.append(packets.open_interest(market.instrument))
        if first:
            self._send(line, first)

    def _picture(self, market: Market) -> Picture:
        key = market.instrument.key
        if key in self._frozen:
            return self._frozen[key]
        return packets.picture_of(market, self._traded.get(key, self._began))

    def _send(self, line: Line, told: list[bytes]) -> None:
        if self._silent & {None, line.client_id}:
            return
        fault = self._faults.draw_packet(line.client_id)
        frame = b"".join(told) if fault is None else _spoilt(fault, told)
        if fault is not None and fault.fault == "market_feed_disconnect":
            self._close(line, fault.status)
        elif frame:
            line.frames.put_nowait(frame)

    def _forget(self, line: Line) -> None:
        if line in self._lines:
            self._lines.remove(line)

    def _close(self, line: Line, reason: int | None) -> None:
        self._forget(line)
        task = asyncio.get_running_loop().create_task(_say_goodbye(line.socket, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _say_goodbye(socket: web.WebSocketResponse, reason: int | None) -> None:
    with contextlib.suppress(ConnectionError):
        if reason is not None:
            await socket.send_bytes(farewell(reason))
        await socket.close()


def _spoilt(fault: Fault, told: list[bytes]) -> bytes:
    """The frame as the fault makes it; empty when nothing is sent at all."""
    frame = b"".join(told)
    if fault.fault == "garbled_packets":
        return frame[:1] + struct.pack("<h", 7) + frame[3:]
    if fault.fault == "cut_packets":
        return frame[:-5]
    if fault.fault == "unknown_packets":
        return UNKNOWN_PACKET + frame
    if fault.fault == "off_tick_packets":
        last = struct.unpack_from("<f", frame, 8)[0]
        return frame[:8] + struct.pack("<f", last + 0.013) + frame[12:]
    return b""


def _read_request(text: str) -> tuple[int, list[Key]] | None:
    """Code and instruments of a request; None when it is none."""
    try:
        body = json.loads(text)
        code = body["RequestCode"]
        if code == DISCONNECT:
            return code, []
        rows = body["InstrumentList"]
        if code not in SUBSCRIBE and code not in UNSUBSCRIBE:
            return None
        if body["InstrumentCount"] != len(rows):
            return None
        return code, [(str(row["ExchangeSegment"]), str(row["SecurityId"])) for row in rows]
    except (ValueError, TypeError, KeyError):
        return None
