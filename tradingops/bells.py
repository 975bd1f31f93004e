"""Kombu's Redis channel, for workers that outlive a restart of Redis.

A task that ends after its connection was lost is acknowledged on a channel without one. Kombu
(5.7, ``transport/redis.py``) stumbles there with an AttributeError, which Celery takes for a bug
and ends the worker; a connection error it mends by itself. What is not acknowledged is a lost
bell: the sweep rings again.
"""

from __future__ import annotations

from typing import Any

from kombu.transport.redis import Channel, Transport
from redis.exceptions import ConnectionError as ConnectionLost


class LastingChannel(Channel):
    """Says that its connection is gone, instead of stumbling over it."""

    def _connparams(self, asynchronous: bool = False) -> Any:  # noqa: ANN401
        if self.connection is None or self.connection.client is None:
            raise ConnectionLost("the connection of this channel is gone")
        return super()._connparams(asynchronous=asynchronous)  # type: ignore[misc]


def install() -> None:
    """Use it for every connection that is made from now on."""
    Transport.Channel = LastingChannel
