"""The door of the signals, before everything that only people need."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from apps.signals.views import hook

# With or without the last slash: a redirect would lose the body.
_PATH = re.compile(r"/hooks/([^/]*)/?")


def leads_here(path: str) -> bool:
    """Is this path one that a signal may come by?"""
    return _PATH.fullmatch(path) is not None


class SignalDoor:
    """Leads a signal straight to its view: a program has no session, no cookie and no page.

    A sender is known by its signature alone; what the layers below would do for it costs several
    times what hearing the signal does.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        found = _PATH.fullmatch(request.path_info)
        return hook(request, found[1]) if found else self._get_response(request)
