"""Carries out a fault on one request: replies wrongly, late, or not at all."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from simexchange.faults import Fault
from simexchange.replies import NOT_NAMED, SERVER_ERROR, TOO_MANY, Reply

Answer = Callable[[], Reply]
"""Does what was asked for and says what the reply should be."""

HTML = (
    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
)


class NoReplyError(Exception):
    """The connection goes down without a byte of reply."""


async def inflict(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    return await ACTIONS[fault.fault](fault, request, answer)


def respond(reply: Reply) -> web.Response:
    body = json.dumps(reply.body, separators=(",", ":")).encode()
    return web.Response(status=reply.status, body=body, content_type="application/json")


def _ask(fault: Fault, answer: Answer) -> Reply | None:
    return answer() if fault.accept else None


async def _drop_before(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    raise NoReplyError


async def _drop_after(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    answer()
    raise NoReplyError


async def _hang(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    _ask(fault, answer)
    await asyncio.sleep(fault.wait)
    raise NoReplyError


async def _slow(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    await asyncio.sleep(fault.wait)
    return respond(answer())


async def _too_many(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    return respond(TOO_MANY)


async def _server_error(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    _ask(fault, answer)
    return respond(Reply(fault.status or 500, SERVER_ERROR.body))


async def _html(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    _ask(fault, answer)
    return web.Response(status=fault.status or 502, text=HTML, content_type="text/html")


async def _garbage(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    reply = _ask(fault, answer)
    whole = json.dumps(reply.body if reply else {"orderId": "1", "orderStatus": "TRANSIT"})
    half = whole[: len(whole) // 2]
    return web.Response(status=fault.status or 200, text=half, content_type="application/json")


async def _wrong_schema(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    _ask(fault, answer)
    return respond(Reply(fault.status or 200, {"foo": 1}))


async def _redirect(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    return web.Response(status=307, headers={"Location": request.path_qs})


async def _not_named(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    return respond(NOT_NAMED)


ACTIONS: dict[str, Callable[[Fault, web.Request, Answer], Awaitable[web.Response]]] = {
    "drop_before_accept": _drop_before,
    "drop_after_accept": _drop_after,
    "hang": _hang,
    "slow": _slow,
    "http_429": _too_many,
    "http_500": _server_error,
    "html": _html,
    "garbage": _garbage,
    "wrong_schema": _wrong_schema,
    "redirect_307": _redirect,
    "lookup_404": _not_named,
}
