"""Sockets of the live pages."""

from __future__ import annotations

from channels.generic.websocket import AsyncJsonWebsocketConsumer


class LiveOrders(AsyncJsonWebsocketConsumer):
    """The live order page."""
