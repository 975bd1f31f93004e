"""The web process: pages over HTTP, live pages over WebSocket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import django
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.base import BaseHandler
from django.http import HttpResponseBadRequest
from django.http.response import HttpResponseBase

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingops.settings")
# A page's request has a thread of its own, and would open a connection of its own. Children of
# this process do not inherit the pool: theirs is the settings' own choice.
os.environ.setdefault("DATABASE_POOL", "True")
django.setup(set_prefix=False)
del os.environ["DATABASE_POOL"]

from channels.auth import AuthMiddlewareStack  # noqa: E402 - needs the apps loaded
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from apps.signals.door import leads_here  # noqa: E402
from tradingops.routing import websocket_urlpatterns  # noqa: E402

SIGNAL_THREADS = 8


class Pages(ASGIHandler):
    """Django's pages; headers that Django cannot read are the sender's fault, not ours."""

    def create_request(
        self, scope: Mapping[str, Any], body_file: IO[bytes]
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        """As Django does, but a Content-Type of an unknown alphabet is a 400 and no crash."""
        try:
            return super().create_request(scope, body_file)
        except ValueError:
            return None, HttpResponseBadRequest()


class PagesAndSignals(Pages):
    """Signals have threads that stay, each with the connection it has warmed; pages have not."""

    def __init__(self) -> None:
        super().__init__()
        self._chain = BaseHandler()
        self._chain.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(SIGNAL_THREADS, thread_name_prefix="signals")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        """As Django does, by the way that suits what is asked."""
        if not leads_here(scope["path"]):
            await super().__call__(scope, receive, send)
            return
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        hear = asyncio.get_running_loop().run_in_executor
        await self.send_response(await hear(self._threads, self._hear, scope, body), send)

    def _hear(self, scope: Mapping[str, Any], body: IO[bytes]) -> HttpResponseBase:
        with body:
            made = self.create_request(scope, body)
            return made[1] if made[0] is None else self._chain.get_response(made[0])


application = ProtocolTypeRouter(
    {
        "http": PagesAndSignals(),
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
        ),
    }
)
