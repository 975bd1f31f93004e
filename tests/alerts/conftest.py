"""A fake of Telegram, a real mail server, and channels to both."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from django.db import connection

from apps.alerts.models import Channel, Delivery, EscalationStep, Kind
from tests.alerts.bot_api import TOKEN, BotApi
from tests.brokers.stub import unused_port


@pytest.fixture
def bot_api(settings):
    with BotApi() as api:
        settings.TELEGRAM_API_URL = api.url
        settings.ALERT_SEND_TIMEOUT = 2.0
        yield api


class Inbox:
    """What a mail server was given."""

    def __init__(self):
        self.letters = []

    def authenticate(self, server, session, envelope, mechanism, given):
        return AuthResult(success=given.password == b"letmein", handled=False)

    async def handle_DATA(self, server, session, envelope):
        self.letters.append(envelope)
        return "250 OK"


@pytest.fixture
def mail():
    inbox = Inbox()
    inbox.port = unused_port()
    server = Controller(
        inbox,
        hostname="127.0.0.1",
        port=inbox.port,
        authenticator=inbox.authenticate,
        auth_required=True,
        auth_require_tls=False,
    )
    server.start()
    yield inbox
    server.stop()


@pytest.fixture
def telegram(db, bot_api):
    return make_channel("phone")


def make_channel(name, chat="111", **fields):
    address = f"tgram://{TOKEN}/{chat}"
    return Channel.objects.create(
        **{"name": name, "kind": Kind.TELEGRAM, "address": address} | fields
    )


def mail_channel(port, name="post", password="letmein", **fields):
    address = f"mailto://desk:{password}@127.0.0.1:{port}?from=desk@example.com&to=me@example.com"
    return Channel.objects.create(
        **{"name": name, "kind": Kind.EMAIL, "address": f"{address}&mode=insecure"} | fields
    )


def states(channel=None):
    rows = Delivery.objects.order_by("id")
    return list((rows.filter(channel=channel) if channel else rows).values_list("state", flat=True))


@pytest.fixture
def steps(db):
    """Step 1 after 5 minutes, step 2 after 10 more."""
    EscalationStep.objects.all().delete()
    for number, minutes in ((1, 5), (2, 10)):
        EscalationStep.objects.create(number=number, minutes=minutes)


ROOT = Path(__file__).resolve().parents[2]


def environment(**extra):
    """For a real process on the database of this test."""
    base, _, query = os.environ["DATABASE_URL"].partition("?")
    own = f"{base.rsplit('/', 1)[0]}/{connection.settings_dict['NAME']}"
    return os.environ | {"DATABASE_URL": own + (f"?{query}" if query else "")} | extra


@contextmanager
def running(*command, **extra):
    """A management command as its own process, ended at the end."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=environment(**extra)
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(10)


@pytest.fixture
def deliverer(bot_api):
    """Start ``deliver_alerts``; short times, so that a test need not wait."""
    quick = {
        "TELEGRAM_API_URL": bot_api.url,
        "ALERT_SEND_TIMEOUT": "1",
        "ALERT_FIRST_PAUSE": "0.2",
        "ALERTS_EVERY": "0.1",
    }
    return lambda **more: running("deliver_alerts", **(quick | more))


@contextmanager
def silent_server():
    """Takes every connection and never says a word."""
    peers = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            with suppress(OSError):
                while True:
                    peers.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1], peers
        finally:
            for peer in peers:
                peer.close()


def until(found, seconds=20):
    """Wait for what another process does."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value
