"""The last step of every request: answer it, or fail as ordered, and put that on record."""

from collections.abc import Callable

from aiohttp import web

from simexchange.faults import Fault
from simexchange.inflict import NoReplyError, inflict, respond
from simexchange.replies import Reply
from simexchange.request_log import Visit


async def carry_out(
    request: web.Request, visit: Visit, fault: Fault | None, answer: Callable[[], Reply]
) -> web.StreamResponse:
    if fault is None:
        response: web.StreamResponse = respond(answer())
    else:
        visit.fault = fault.fault
        try:
            response = await inflict(fault, request, answer)
        except NoReplyError:
            return _hang_up(request)
    visit.status = response.status
    return response


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
