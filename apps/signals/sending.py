"""Send a signal over HTTP as its source's owner would, signed as Standard Webhooks has it."""

from __future__ import annotations

import secrets
import time

import requests

from apps.signals.models import SignalSource
from apps.signals.signing import sign

PATIENCE = 10  # seconds


def send(source: SignalSource, desk: str, body: bytes) -> requests.Response:
    """POST one signed signal to the desk at ``desk``, an address such as http://localhost:8000.

    Raises ``requests.RequestException`` when nobody takes it.
    """
    message_id, stamp = f"test_{secrets.token_hex(12)}", int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign(source.secret, message_id, stamp, body),
    }
    address = desk.rstrip("/") + source.path
    return requests.post(
        address, data=body, headers=headers, timeout=PATIENCE, allow_redirects=False
    )
