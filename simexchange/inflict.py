"""Carries out a fault on one request: replies wrongly, late, or not at all."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from aiohttp import web

from simexchange.exchange import Exchange
from simexchange.faults import Fault
from simexchange.replies import NOT_NAMED, SERVER_ERROR, TOO_MANY, Reply, order_error

Answer = Callable[[], Reply]
"""Does what was asked for and says what the reply should be."""

HTML = (
    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
)


class NoReplyError(Exception):
    """The connection goes down without a byte of reply."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One request, how it would be answered, and where."""

    request: web.Request
    answer: Answer
    exchange: Exchange


async def inflict(fault: Fault, scene: Scene) -> web.StreamResponse:
    return await ACTIONS[fault.fault](fault, scene)


def respond(reply: Reply) -> web.Response:
    if reply.file is None:
        return web.Response(
            status=reply.status, body=_content(reply), content_type="application/json"
        )
    response = web.Response(status=reply.status, body=reply.file, content_type="text/csv")
    response.last_modified = reply.modified
    return response


def _content(reply: Reply) -> bytes:
    if reply.file is not None:
        return reply.file
    if reply.body is None:
        return b""
    return json.dumps(reply.body, separators=(",", ":")).encode()


def _ask(fault: Fault, scene: Scene) -> Reply | None:
    return scene.answer() if fault.accept else None


async def _drop_before(fault: Fault, scene: Scene) -> web.Response:
    raise NoReplyError


async def _drop_after(fault: Fault, scene: Scene) -> web.Response:
    scene.answer()
    raise NoReplyError


async def _hang(fault: Fault, scene: Scene) -> web.Response:
    _ask(fault, scene)
    await asyncio.sleep(fault.wait)
    raise NoReplyError


async def _slow(fault: Fault, scene: Scene) -> web.Response:
    await asyncio.sleep(fault.wait)
    return respond(scene.answer())


async def _too_many(fault: Fault, scene: Scene) -> web.Response:
    return respond(TOO_MANY)


async def _server_error(fault: Fault, scene: Scene) -> web.Response:
    _ask(fault, scene)
    return respond(Reply(fault.status or 500, SERVER_ERROR.body))


async def _html(fault: Fault, scene: Scene) -> web.Response:
    _ask(fault, scene)
    return web.Response(status=fault.status or 502, text=HTML, content_type="text/html")


async def _garbage(fault: Fault, scene: Scene) -> web.Response:
    reply = _ask(fault, scene)
    if reply is not None and reply.file is not None:
        return respond(replace(reply, file=_turned_over(reply.file)))
    whole = json.dumps(reply.body if reply else {"orderId": "1", "orderStatus": "TRANSIT"})
    half = whole[: len(whole) // 2]
    return web.Response(status=fault.status or 200, text=half, content_type="application/json")


def _turned_over(file: bytes) -> bytes:
    """Some two thousand bytes of its middle become others; its length stays."""
    middle = len(file) // 2
    wrong = bytes(255 - byte for byte in file[middle : middle + 2000])
    return file[:middle] + wrong + file[middle + len(wrong) :]


async def _truncated(fault: Fault, scene: Scene) -> web.StreamResponse:
    """The right reply, but the connection ends in the middle of it."""
    content = _content(scene.answer())
    response = web.StreamResponse()
    response.content_length = len(content)
    await response.prepare(scene.request)
    await response.write(content[: len(content) // 2])
    if scene.request.transport is not None:
        scene.request.transport.close()
    return response


async def _wrong_schema(fault: Fault, scene: Scene) -> web.Response:
    _ask(fault, scene)
    return respond(Reply(fault.status or 200, {"foo": 1}))


async def _refused(fault: Fault, scene: Scene) -> web.Response:
    return respond(order_error("Order cannot be processed at this moment"))


async def _redirect(fault: Fault, scene: Scene) -> web.Response:
    return web.Response(status=307, headers={"Location": scene.request.path_qs})


async def _not_named(fault: Fault, scene: Scene) -> web.Response:
    return respond(NOT_NAMED)


async def _book_lags(fault: Fault, scene: Scene) -> web.Response:
    """The rows of orders that are too young to show."""
    reply = scene.answer()
    if not isinstance(reply.body, list):
        return respond(reply)
    hidden = scene.exchange.younger_than(fault.wait)
    rows = [row for row in reply.body if row["orderId"] not in hidden]
    return respond(Reply(reply.status, rows))


async def _reject_later(fault: Fault, scene: Scene) -> web.Response:
    """A yes as ever; on arrival the orders are turned away, and no frame tells of it."""
    reply = scene.answer()
    rows = reply.body if isinstance(reply.body, list) else [reply.body]
    for row in rows:
        if "orderId" in row:
            scene.exchange.doom(row["orderId"])
    return respond(reply)


ACTIONS: dict[str, Callable[[Fault, Scene], Awaitable[web.StreamResponse]]] = {
    "drop_before_accept": _drop_before,
    "drop_after_accept": _drop_after,
    "hang": _hang,
    "slow": _slow,
    "http_429": _too_many,
    "http_500": _server_error,
    "html": _html,
    "garbage": _garbage,
    "truncated": _truncated,
    "wrong_schema": _wrong_schema,
    "redirect_307": _redirect,
    "refused": _refused,
    "lookup_404": _not_named,
    "book_lags": _book_lags,
    "reject_later": _reject_later,
}
