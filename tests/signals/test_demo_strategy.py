"""The demo's strategy sends real signals by the front door, and a closed door stops nothing."""

from __future__ import annotations

import json
import random
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from django.test import Client

from apps.desk import demo
from apps.signals.models import Signal, SignalSource

pytestmark = pytest.mark.django_db(transaction=True)


class Always(random.Random):
    """Draws what makes the demo trader send a signal."""

    def random(self):
        return 0.65


@pytest.fixture
def account(make_account, reliance):
    return make_account(demo.PRICES_BY)


@pytest.fixture
def front_door():
    """An address, and what was posted to it: path, headers, body."""
    heard = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, dict(self.headers), body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", heard
    server.shutdown()
    server.server_close()


def test_the_strategy_is_made_once(account):
    demo.make_source()
    demo.make_source()
    assert SignalSource.objects.get().account == account


def test_a_step_sends_a_signal_that_the_desk_takes(account, front_door, no_bells):
    demo.make_source()
    address, heard = front_door
    demo.step(Always(), address)
    ((path, headers, body),) = heard
    answer = Client().post(path, body, content_type="application/json", headers=headers)
    assert answer.status_code == 202, answer.content
    assert Signal.objects.get().wish["instrument"] == json.loads(body)["instrument"]


def test_nobody_at_the_door_is_no_trouble(account, no_bells):
    demo.make_source()
    demo.step(Always(), "http://127.0.0.1:9")
    assert not Signal.objects.exists()
