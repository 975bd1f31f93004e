"""What the person reads while the desk is not well yet."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from supervisor.health import missing_at


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_nothing_is_missing_when_all_is_well():
    with answering(200, b"{}") as port:
        assert missing_at("127.0.0.1", port) == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_failing_parts_are_named(host):
    parts = {
        "redis": {"ok": True, "age": 0.0, "detail": "answers"},
        "worker": {"ok": False, "age": 12.0, "detail": "silent for 12 s"},
    }
    body = json.dumps({"status": "failing", "parts": parts, "failing": ["worker"]}).encode()
    with answering(503, body) as port:
        assert missing_at(host, port) == {"worker": "silent for 12 s"}


@pytest.mark.parametrize("body", [b"<h1>Server Error</h1>", b"[]", b"{}"])
def test_an_answer_without_names_is_still_told(body):
    with answering(500, body) as port:
        assert missing_at("127.0.0.1", port) == {"web": "answers 500"}


def test_silence_is_told(free_port):
    assert missing_at("127.0.0.1", free_port) == {"web": "does not answer"}
