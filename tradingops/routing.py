"""Addresses of the live pages' sockets."""

from __future__ import annotations

from django.urls import path

from apps.desk.consumers import LiveOrders

websocket_urlpatterns = [path("ws/orders/", LiveOrders.as_asgi())]
