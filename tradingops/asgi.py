"""The web process: pages over HTTP, live pages over WebSocket."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO, Any

import django
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponseBadRequest
from django.http.response import HttpResponseBase

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingops.settings")
# Each request has a thread of its own, and would open a connection of its own. Children of this
# process do not inherit the pool: theirs is the settings' own choice.
os.environ.setdefault("DATABASE_POOL", "True")
django.setup(set_prefix=False)
del os.environ["DATABASE_POOL"]

from channels.auth import AuthMiddlewareStack  # noqa: E402 - needs the apps loaded
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from tradingops.routing import websocket_urlpatterns  # noqa: E402


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


application = ProtocolTypeRouter(
    {
        "http": Pages(),
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns))
        ),
    }
)
