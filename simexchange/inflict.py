"""Carries out a fault on one request: replies wrongly, late, or not at all."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

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


async def inflict(fault: Fault, request: web.Request, answer: Answer) -> web.StreamResponse:
    return await ACTIONS[fault.fault](fault, request, answer)


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
    return json.dumps(reply.body, separators=(",", ":")).encode()


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


async def _truncated(fault: Fault, request: web.Request, answer: Answer) -> web.StreamResponse:
    """The right reply, but the connection ends in the middle of it."""
    content = _content(answer())
    response = web.StreamResponse()
    response.content_length = len(content)
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _wrong_schema(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    _ask(fault, answer)
    return respond(Reply(fault.status or 200, {"foo": 1}))


async def _redirect(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    return web.Response(status=307, headers={"Location": request.path_qs})


async def _not_named(fault: Fault, request: web.Request, answer: Answer) -> web.Response:
    return respond(NOT_NAMED)


ACTIONS: dict[str, Callable[[Fault, web.Request, Answer], Awaitable[web.StreamResponse]]] = {
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
    "lookup_404": _not_named,
}
