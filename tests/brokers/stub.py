"""A broker made of raw sockets that misbehaves on demand and keeps every byte it was sent."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Self

Act = Callable[[socket.socket], None]


def answer(status: int, body: Any = None, *, headers: str = "") -> Act:
    """A whole, honest HTTP answer; ``body`` is JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body, default=float).encode()
    content = b"" if body is None else content
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{headers}"
    raw = f"{head}Connection: close\r\n\r\n".encode() + content
    return lambda peer: peer.sendall(raw)


def say(raw: bytes) -> Act:
    """Exactly these bytes, then the end."""
    return lambda peer: peer.sendall(raw)


def hang(peer: socket.socket) -> None:
    """Say nothing for longer than anybody waits."""
    peer.settimeout(10)
    try:
        while peer.recv(65536):
            pass
    except OSError:
        return


def drop(peer: socket.socket) -> None:
    """Close without a word."""


def drip(peer: socket.socket) -> None:
    """A byte every 50 ms: never silent, never done."""
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(200):
        try:
            peer.sendall(b" ")
        except OSError:
            return
        time.sleep(0.05)


class Stub:
    """Answers connection after connection, the last act for ever; read with ``requests``."""

    def __init__(self, *acts: Act, read_first: bool = True) -> None:
        self.acts = list(acts)
        self.read_first = read_first
        self.requests: list[bytes] = []
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            act = self.acts[min(self.connections, len(self.acts) - 1)]
            self.connections += 1
            threading.Thread(target=self._serve_one, args=(peer, act), daemon=True).start()

    def _serve_one(self, peer: socket.socket, act: Act) -> None:
        with peer:
            if self.read_first:
                self.requests.append(_read_request(peer))
            try:
                act(peer)
            except OSError:
                return


def _read_request(peer: socket.socket) -> bytes:
    peer.settimeout(2)
    raw = b""
    try:
        while b"\r\n\r\n" not in raw:
            chunk = peer.recv(65536)
            if not chunk:
                return raw
            raw += chunk
        head, _, body = raw.partition(b"\r\n\r\n")
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            ),
            0,
        )
        while len(body) < length:
            body += peer.recv(65536)
        return head + b"\r\n\r\n" + body
    except OSError:
        return raw


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
