"""An order feed that a test scripts: what each connection says after the login, how long."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from websockets.sync.server import ServerConnection, serve

from apps.brokers.dhan.stream import DhanOrderStream
from apps.brokers.port import OrderReport

Script = Callable[[ServerConnection], None]


def stay(peer: ServerConnection) -> None:
    """Answer pings until the other side leaves."""
    for _ in peer:
        pass


class FeedStub:
    """Plays one script per connection, the last one for ever."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.logins: list[Any] = []
        self.opened: list[float] = []
        self._server = serve(self._serve, "127.0.0.1", 0, ping_interval=None)
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _serve(self, peer: ServerConnection) -> None:
        script = self.scripts[min(len(self.opened), len(self.scripts) - 1)]
        self.opened.append(time.monotonic())
        self.greet(peer)
        script(peer)

    def greet(self, peer: ServerConnection) -> None:
        """What the other side begins with, kept for the test."""
        self.logins.append(peer.recv(timeout=5))


class SilentFeed:
    """Shakes hands and never answers again, not even a ping; may drip a frame that never ends."""

    def __init__(self, *, drip: bool = False) -> None:
        self._drip = drip
        self._server = socket.create_server(("127.0.0.1", 0))
        self._peers: list[socket.socket] = []
        self.url = f"ws://127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._server, *self._peers):
            end.close()

    def _serve(self) -> None:
        from websockets.server import ServerProtocol

        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            self._peers.append(peer)
            protocol = ServerProtocol()
            protocol.receive_data(peer.recv(4096))
            for event in protocol.events_received():
                protocol.send_response(protocol.accept(event))
            for data in protocol.data_to_send():
                peer.sendall(data)
            if self._drip:
                threading.Thread(target=self._drip_into, args=(peer,), daemon=True).start()

    @staticmethod
    def _drip_into(peer: socket.socket) -> None:
        head = b"\x81\x7e\xff\xff"  # a text frame of 65,535 bytes
        with contextlib.suppress(OSError):
            peer.sendall(head)
            while True:
                peer.sendall(b" ")
                time.sleep(0.02)


@dataclass
class Listener:
    """Runs a stream in a thread and keeps what it calls back."""

    stream: DhanOrderStream
    reports: list[OrderReport] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    lives: list[float] = field(default_factory=list)
    connected: list[float] = field(default_factory=list)
    on_report: Callable[[OrderReport], None] | None = None
    stopping: bool = False

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> float:
        """Ask the stream to stop; seconds until it did."""
        began = time.monotonic()
        self.stopping = True
        self._thread.join(10)
        assert not self._thread.is_alive()
        return time.monotonic() - began

    def _run(self) -> None:
        from django.db import connection

        try:
            self.stream.run(
                self.on_report or self.reports.append,
                lambda: self.lives.append(time.monotonic()),
                self.losses.append,
                self.troubles.append,
                lambda: self.connected.append(time.monotonic()),
                lambda: self.stopping,
            )
        finally:
            connection.close()


def until(true: Callable[[], Any], seconds: float = 5) -> None:
    """Wait until it is true; fail when it does not become so in time."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.02)
