"""The last step of every request: answer it, or fail as ordered, and put that on record."""

from aiohttp import web

from simexchange.faults import Fault
from simexchange.inflict import NoReplyError, Scene, inflict, respond
from simexchange.request_log import Visit
from simexchange.shutter import abort


async def carry_out(fault: Fault | None, visit: Visit, scene: Scene) -> web.StreamResponse:
    if fault is None:
        response: web.StreamResponse = respond(scene.answer())
    else:
        visit.fault = fault.fault
        try:
            response = await inflict(fault, scene)
        except NoReplyError:
            return abort(scene.request.transport)
    visit.status = response.status
    return response
