"""Telegram's Bot API, the three methods that the desk needs. https://core.telegram.org/bots/api

Not through apprise: it knows one fixed address of Telegram, hides how long to wait after a 429,
and cannot limit the whole time of a call. Every call here ends within its time, however slowly
the other side drips; redirects are not followed; a token is in no error.
"""

from __future__ import annotations

import json
import random
import re
import socket
import threading
from typing import Any

import requests
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from apps.alerts.trouble import Trouble

TOKEN = r"\d{3,20}:[\w-]{10,}"  # noqa: S105 - a shape, no secret
LONGEST_TEXT = 4096  # UTF-16 units per message, as Telegram counts them
LONGEST_WAIT = 3600.0  # seconds; what a 429 may ask for
MAX_BODY = 4 * 1024 * 1024
_PERMANENT = {400, 401, 403, 404}
_TROUBLE = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)


def send_message(token: str, chat: str, text: str, within: float) -> None:
    """Say ``text`` in ``chat`` (a number or @name). Raises ``Trouble``."""
    payload = {"chat_id": chat, "text": _cut(text), "link_preview_options": {"is_disabled": True}}
    call(token, "sendMessage", payload, within)


def get_updates(token: str, offset: int, wait: float) -> list[dict[str, Any]]:
    """Messages from ``offset`` on, waiting up to ``wait`` seconds for the first one.

    Asking confirms all before ``offset``: Telegram forgets them. Raises ``Trouble``.
    """
    payload = {"offset": offset, "timeout": int(wait), "allowed_updates": ["message"]}
    found = call(token, "getUpdates", payload, wait + settings.ALERT_SEND_TIMEOUT)
    whole = isinstance(found, list) and all(
        isinstance(row, dict) and isinstance(row.get("update_id"), int) for row in found
    )
    if not whole:
        raise Trouble("Telegram's list of messages cannot be read")
    return list(found)


def name_of(token: str) -> str:
    """The bot's user name, in lower case, without @. Raises ``Trouble``."""
    found = call(token, "getMe", {}, settings.ALERT_SEND_TIMEOUT)
    name = found.get("username") if isinstance(found, dict) else None
    if not isinstance(name, str):
        raise Trouble("Telegram does not say what this bot is called")
    return name.lower()


def call(token: str, method: str, payload: dict[str, Any], within: float) -> Any:  # noqa: ANN401
    """One call; its ``result``. Raises ``Trouble``, without the token in its text."""
    state = _Call()
    watchdog = threading.Timer(within, state.cut)
    watchdog.daemon = True
    watchdog.start()
    _current.call = state
    try:
        status, content = _post(token, method, payload, within)
    except _TROUBLE as error:
        raise _silence(error, state, within) from None
    finally:
        watchdog.cancel()
        _current.call = None
    if state.timed_out:
        raise _silence(None, state, within)
    return _read(status, content, token)


class _Call:
    """What the watchdog needs to end a call."""

    def __init__(self) -> None:
        self.sock: socket.socket | None = None
        self.timed_out = False

    def connected(self, sock: socket.socket | None) -> None:
        self.sock = sock
        if self.timed_out:
            self.cut()

    def cut(self) -> None:
        self.timed_out = True
        if self.sock is not None:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


_current = threading.local()


class _HTTP(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _current.call.connected(self.sock)


class _HTTPS(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        _current.call.connected(self.sock)


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPS


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


def _post(token: str, method: str, payload: dict[str, Any], within: float) -> tuple[int, bytes]:
    """A connection of its own each time: there is little to say, and nothing is left behind."""
    url = f"{settings.TELEGRAM_API_URL.rstrip('/')}/bot{token}/{method}"
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(max_retries=0))
        answer = session.post(
            url,
            json=payload,
            headers={"User-Agent": settings.USER_AGENT},
            timeout=(min(settings.CONNECT_TIMEOUT, within), within),
            allow_redirects=False,
            stream=True,
        )
        with answer:
            return answer.status_code, answer.raw.read(MAX_BODY, decode_content=True)


def _silence(error: Exception | None, state: _Call, within: float) -> Trouble:
    slow = isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError)
    if state.timed_out or slow:
        return Trouble(f"Telegram did not answer within {within:g} s")
    return Trouble(f"Telegram cannot be reached ({type(error).__name__})")


def _read(status: int, content: bytes, token: str) -> Any:  # noqa: ANN401 - JSON is any
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or "ok" not in body:
        raise Trouble(f"Telegram's answer (HTTP {status}) cannot be read")
    if body["ok"] is True and "result" in body:
        return body["result"]
    raise _refusal(body, status, token)


def _refusal(body: dict[str, Any], status: int, token: str) -> Trouble:
    said = re.sub(TOKEN, "***", str(body.get("description", ""))).replace(token, "***")
    code = body.get("error_code", status)
    hints = body.get("parameters")
    hints = hints if isinstance(hints, dict) else {}
    if moved := hints.get("migrate_to_chat_id"):
        return Trouble(f"Telegram: this group is now chat {moved}; write that one", permanent=True)
    if code == 429:
        return Trouble(f"Telegram: {said}", wait=_seconds(hints.get("retry_after")))
    return Trouble(f"Telegram: {said or f'refused ({code})'}", permanent=code in _PERMANENT)


def _seconds(told: object) -> float:
    """What a 429 asks for, and a little more, so that several do not come back at once."""
    wait = float(told) if isinstance(told, int | float) and told > 0 else 5.0
    return min(wait, LONGEST_WAIT) + random.uniform(0.1, 1)  # noqa: S311 - no secret in it


def _cut(text: str) -> str:
    """At most 4096 UTF-16 units, without half a character at the end; never empty."""
    raw = (text.strip() or "–").encode("utf-16-le", "replace")
    if len(raw) <= 2 * LONGEST_TEXT:
        return raw.decode("utf-16-le")
    return raw[: 2 * (LONGEST_TEXT - 1)].decode("utf-16-le", "ignore") + "…"
