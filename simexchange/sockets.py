"""The order update socket: log in, then hear of every change in the account.

DhanHQ v2 documentation, order update page. Recorded behaviour: no reply to a good login; a bad
token is answered by a code 50 packet with reason 807, then the connection closes.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from simexchange.faults import Fault, Faults
from simexchange.frames import farewell, order_alert
from simexchange.inflict import respond
from simexchange.ledger import Ledger
from simexchange.orders import OrderEvent
from simexchange.replies import unknown_path
from simexchange.shutter import Shutter, abort

LOGIN_SECONDS = 10.0
LOGIN_CODE = 42


@dataclass(eq=False, slots=True)
class Line:
    """One logged-in connection and the frames waiting to go out on it."""

    client_id: str
    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    frames: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    held: str | None = None

    def put(self, frame: str) -> None:
        self.frames.put_nowait(frame)

    async def send_all(self) -> None:
        with contextlib.suppress(ConnectionError):
            while not self.socket.closed:
                await self.socket.send_str(await self.frames.get())


class OrderFeed:
    """Every logged-in connection, by client."""

    def __init__(self, ledger: Ledger, faults: Faults) -> None:
        self._ledger = ledger
        self._faults = faults
        self._lines: set[Line] = set()
        self._silent: set[str | None] = set()
        self._shutter = Shutter()
        self._tasks: set[asyncio.Task[Any]] = set()
        ledger.listeners.append(self.broadcast)

    def counts(self) -> dict[str, int]:
        """Open connections by client id."""
        clients = [line.client_id for line in self._lines]
        return {client: clients.count(client) for client in sorted(set(clients))}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self._shutter.is_shut:
            return abort(request.transport)
        socket = web.WebSocketResponse(autoping=True)
        if not socket.can_prepare(request).ok:
            return respond(unknown_path(request.path))
        await socket.prepare(request)
        client_id = await self._log_in(socket)
        if client_id is None:
            await socket.close()
            return socket
        line = Line(client_id, socket, request.transport)
        self._lines.add(line)
        sender = asyncio.create_task(line.send_all())
        try:
            async for _ in socket:
                pass
        finally:
            self._lines.discard(line)
            sender.cancel()
        return socket

    def broadcast(self, event: OrderEvent) -> None:
        client_id = event.order.client_id
        if self._silent & {None, client_id}:
            return
        lines = [line for line in self._lines if line.client_id == client_id]
        if not lines:
            return
        frame = order_alert(event, self._ledger.instruments[event.order.key])
        for line in lines:
            self._send(line, frame, self._faults.draw_frame(client_id, bool(event.order.parent)))

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
        """Frames are lost from now on, while the connection stays up and answers pings."""
        self._silent.add(client_id)

    def resume(self, client_id: str | None) -> None:
        if client_id is None:
            self._silent.clear()
        else:
            self._silent.discard(client_id)

    async def _log_in(self, socket: web.WebSocketResponse) -> str | None:
        try:
            message = await asyncio.wait_for(socket.receive(), LOGIN_SECONDS)
        except TimeoutError:
            return None
        if message.type is not WSMsgType.TEXT:
            return None
        client_id, token = _read_login(message.data)
        account = self._ledger.accounts.get(client_id)
        over = account is not None and account.access.is_over(self._ledger.clock())
        if account is None or account.token != token or over:
            await socket.send_bytes(farewell())
            return None
        return client_id

    def _send(self, line: Line, frame: str, fault: Fault | None) -> None:
        name = fault.fault if fault else ""
        if name == "feed_disconnect":
            self._close(line, None)
        elif name == "duplicate_frames":
            line.put(frame)
            line.put(frame)
        elif fault and name == "delayed_frames":
            asyncio.get_running_loop().call_later(fault.wait, line.put, frame)
        elif name == "reordered_frames" and line.held is None:
            line.held = frame
        elif name != "dropped_frames":
            line.put(frame)
            self._let_go(line)

    def _let_go(self, line: Line) -> None:
        if line.held is not None:
            line.put(line.held)
            line.held = None

    def _close(self, line: Line, reason: int | None) -> None:
        self._lines.discard(line)
        task = asyncio.get_running_loop().create_task(_say_goodbye(line.socket, reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _say_goodbye(socket: web.WebSocketResponse, reason: int | None) -> None:
    with contextlib.suppress(ConnectionError):
        if reason is not None:
            await socket.send_bytes(farewell(reason))
        await socket.close()


def _read_login(text: str) -> tuple[str, str]:
    """Client id and token of a LoginReq, empty when it is none."""
    try:
        body = json.loads(text)
        login = body["LoginReq"]
        if login["MsgCode"] != LOGIN_CODE or body.get("UserType", "SELF") != "SELF":
            return "", ""
        return str(login["ClientId"]), str(login["Token"])
    except (ValueError, TypeError, KeyError):
        return "", ""
