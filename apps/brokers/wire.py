"""The line to a broker: the one function that holds an HTTP session, and what it heard.

``transmit`` takes only a committed journal row that this process wrote, that has never been
used and that may still leave. Everything that goes wrong is told apart by one question: could
a byte have reached the broker? If not, ``NotSent``; otherwise ``Unknown``.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import certifi
import urllib3
from django.conf import settings
from django.db import connection
from django.utils import timezone
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from apps.brokers.deadlines import Deadlines
from apps.brokers.journal import boot_clock
from apps.brokers.models import WireCall
from apps.brokers.port import NotSent, Unknown

MAX_BODY = 32 * 1024 * 1024  # bytes; a day's order book of 20,000 rows is about 12 MB


class NotOnTheWire(RuntimeError):
    """The row may not be transmitted: a bug in the caller, not an outcome of the broker."""


@dataclass(frozen=True)
class Reply:
    """What came back. ``body`` is parsed JSON, or None with ``trouble`` saying why not.

    ``ahead`` is by how many seconds the other side's clock is ahead of ours, to about a second;
    None when it did not say.
    """

    status: int | None
    body: Any
    trouble: NotSent | Unknown | None = None
    empty: bool = False  # an answer without a body; some endpoints document that as a yes
    ahead: float | None = None


class _TooLate(OSError):
    pass


class _Call:
    """The state of the one call that this thread is making."""

    deadline: float | None = None
    first_byte_out = False
    sock: socket.socket | None = None
    timed_out = False


class _Current(threading.local):
    call: _Call | None = None


_current = _Current()


class _Watched:
    """Checks the deadline between connecting and the first byte, and notes that it left."""

    sock: socket.socket | None

    def send(self, data: Any) -> None:  # noqa: ANN401 - http.client's own signature
        call = _current.call
        if call is not None and not call.first_byte_out:
            if self.sock is None:
                self.connect()  # type: ignore[attr-defined]
            call.sock = self.sock
            if call.timed_out:
                raise _TooLate("the total time of the call was over before the first byte")
            if call.deadline is not None and boot_clock() > call.deadline:
                raise _TooLate("the time to send had passed before the first byte")
            call.first_byte_out = True
        super().send(data)  # type: ignore[misc]


class _WatchedHTTP(_Watched, HTTPConnection):
    pass


class _WatchedHTTPS(_Watched, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS


def _new_pools() -> urllib3.PoolManager:
    """Kept connections, and nothing more: no proxy, no .netrc and no cookie can touch an order."""
    pools = urllib3.PoolManager(8, maxsize=32, ca_certs=certifi.where())
    pools.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return pools


_pools = _new_pools()
_deadlines = Deadlines()


# A header that cannot be encoded or decoded is a plain ValueError.
_TROUBLE = (urllib3.exceptions.HTTPError, OSError, ValueError)


def transmit(
    call: WireCall,
    method: str,
    path: str,
    payload: dict[str, Any] | None,
    headers: dict[str, str],
    query: Mapping[str, str] | None = None,
) -> Reply:
    """Send one committed call and return what was heard.

    Raises ``NotOnTheWire`` when the row is not committed, not ours, or already used.
    """
    state = _Call()
    state.deadline = _take_the_right(call)
    try:
        watched = _deadlines.watch(settings.CALL_TIMEOUT, lambda: _cut(state))
    except RuntimeError as error:
        return Reply(None, None, NotSent(f"nothing can watch its time: {error}"))
    _current.call = state
    try:
        reply = _exchange(method, call.endpoint.rstrip("/") + path, payload, headers, query)
        # A body that ends with its connection cannot be told from one that we cut off.
        return Reply(reply.status, None, _too_slow()) if state.timed_out else reply
    except _TROUBLE as error:
        return Reply(None, None, _classify(error, state))
    finally:
        watched.over = True
        state.sock = None  # it goes back to the pool and may soon serve another call
        _current.call = None


def _take_the_right(call: WireCall) -> float:
    """A row gets it with its commit, in the process that wrote it, and has it once."""
    if connection.in_atomic_block:
        raise NotOnTheWire("a call to a broker inside a transaction could be undone: commit first")
    try:
        deadline = call.use_up()
    except LookupError as error:
        raise NotOnTheWire(str(error)) from error
    call.sent_at = timezone.now()
    return deadline


def _exchange(
    method: str,
    url: str,
    payload: dict[str, Any] | None,
    headers: dict[str, str],
    query: Mapping[str, str] | None,
) -> Reply:
    body = None if payload is None else json.dumps(payload)
    began = time.time()
    response = _pools.urlopen(
        method,
        f"{url}?{urlencode(query)}" if query else url,
        body=body,
        headers={
            **headers,
            "User-Agent": settings.USER_AGENT,
            "Accept-Encoding": "gzip, deflate",
        },
        timeout=urllib3.Timeout(connect=settings.CONNECT_TIMEOUT, read=settings.CALL_TIMEOUT),
        retries=False,
        redirect=False,
        preload_content=False,
    )
    ahead = _ahead(response.headers.get("Date"), began, time.time())
    with response:
        content = response.read(MAX_BODY + 1, decode_content=True)
    _let_go()
    if len(content) > MAX_BODY:
        return Reply(response.status, None, Unknown("the reply is larger than 32 MB"))
    return replace(_parse(response.status, content), ahead=ahead)


def _let_go() -> None:
    """The connection is back in its pool, and may serve another call that must not be cut."""
    if _current.call is not None:
        _current.call.sock = None


def _ahead(date: str | None, began: float, ended: float) -> float | None:
    """The header has whole seconds and was written somewhere between asking and hearing."""
    if date is None:
        return None
    try:
        stamp = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return stamp + 0.5 - (began + ended) / 2


def _parse(status: int, content: bytes) -> Reply:
    if status == 429:
        return Reply(status, _json_or_none(content), NotSent("429: over the broker's rate limit"))
    if 300 <= status < 400:
        return Reply(status, None, Unknown(f"HTTP {status}: a redirect, which is never followed"))
    if not content.strip():
        return Reply(status, None, Unknown(f"HTTP {status} with an empty body"), empty=True)
    body = _json_or_none(content)
    if body is None:
        return Reply(status, None, Unknown(f"HTTP {status} with a body that is not JSON"))
    return Reply(status, body)


def _json_or_none(content: bytes) -> Any:  # noqa: ANN401 - JSON is any
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _cut(state: _Call) -> None:
    """End a call that outlives its total time, however busily the other side drips bytes."""
    state.timed_out = True
    sock = state.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _classify(error: Exception, state: _Call) -> NotSent | Unknown:
    if not state.first_byte_out:
        return NotSent(_first_line(error))
    if state.timed_out or isinstance(error, urllib3.exceptions.TimeoutError):
        return _too_slow()
    return Unknown(_first_line(error))


def _too_slow() -> Unknown:
    return Unknown(f"no complete reply within {settings.CALL_TIMEOUT:g} s")


def _first_line(error: Exception) -> str:
    """The innermost cause in one line; URLs are left out because some carry secrets."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return f"{type(cause).__name__}: {cause}".splitlines()[0].split("http", maxsplit=1)[0][:300]
