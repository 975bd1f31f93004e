"""The webhook as a way in, signed as Standard Webhooks has it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import threading
import time
import uuid

import requests

from tests.bench.desk import Desk
from tests.bench.pacing import Ask
from tests.house import House

_PATH = re.compile(r"/hooks/[\w-]+/")
_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=_-]+")


def sender(house: House, desk: Desk) -> Ask:
    """How to send the signal of one number."""
    done = house.manage("create_source", "bench", "--account", desk.account.name)
    path, secret = _PATH.search(done.stdout), _SECRET.search(done.stdout)
    if done.returncode or path is None or secret is None:
        raise RuntimeError(f"create_source did not name a path and a secret:\n{done.stderr}")
    url, key = house.url + path.group(), key_of(secret.group())
    own = threading.local()  # one connection per client, kept open like a real sender's

    def send(number: int) -> None:
        if not hasattr(own, "session"):
            own.session = requests.Session()
        body = _body(desk, number)
        reply = own.session.post(url, data=body, headers=signed(key, body), timeout=10)
        if reply.status_code != 202:
            raise RuntimeError(f"the signal was answered {reply.status_code}: {reply.text[:300]}")

    return send


def _body(desk: Desk, number: int) -> bytes:
    return json.dumps(
        {
            "instrument": desk.instrument.symbol,
            "side": "BUY",
            "intent": "ENTRY",
            "quantity": number,
            "type": "LIMIT",
            "price": str(desk.price),
        }
    ).encode()


def key_of(secret: str) -> bytes:
    """What a source's secret signs with."""
    text = secret.removeprefix("whsec_")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=None)


def signed(key: bytes, body: bytes, name: str = "") -> dict[str, str]:
    """Headers that prove the sender; the same ``name`` again is a repeat of the same signal."""
    name, stamp = name or f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    signed = f"{name}.{stamp}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{signature}",
    }
