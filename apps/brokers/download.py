"""Fetch a published file: no account, no token, nothing that an order could be sent with.

One GET with a time-out for the whole of it and a limit on its size, into a file of the caller's.
What does not arrive whole is no file: a body shorter than announced is told from a complete one.
"""

from __future__ import annotations

import datetime as dt
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import IO
from urllib.parse import SplitResult, urlsplit, urlunsplit

import certifi
from django.conf import settings
from django.db import connection

MOST_BYTES = 200 * 1024 * 1024
CHUNK = 256 * 1024
TELL_EVERY = 4 * 1024 * 1024
PATIENCE = 15.0  # seconds without a byte


class DownloadFailed(Exception):
    """The file did not arrive whole; the text says why."""


@dataclass(frozen=True)
class Downloaded:
    """What came. ``whole``: its end was announced and reached, so no line is cut short."""

    size: int
    whole: bool
    published_at: dt.datetime | None


def shown(url: str) -> str:
    """The address as it may be kept and shown: without name, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))[:300]


def download(
    url: str, into: IO[bytes], *, within: float, tell: Callable[[str], None] = lambda text: None
) -> Downloaded:
    """GET ``url`` into the open file within so many seconds. Raises ``DownloadFailed``.

    Redirects are not followed: the address of a master file is a setting, not an answer.
    """
    if connection.in_atomic_block:
        raise RuntimeError("a download inside a transaction would hold it open")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise DownloadFailed(f"{shown(url)} is no address such as https://host/path")
    line = _line(parts, min(settings.CONNECT_TIMEOUT, within))
    late = threading.Event()
    began = time.monotonic()
    try:
        line.connect()
        line.sock.settimeout(PATIENCE)
        left = max(within - (time.monotonic() - began), 0.001)
        with _cut_after(left, line.sock, late):
            return _fetch(line, parts, into, tell, late)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadFailed(_reason(error, late, within)) from None
    finally:
        line.close()


def _reason(error: Exception, late: threading.Event, within: float) -> str:
    if late.is_set():
        return f"it did not arrive within {within:g} s"
    if isinstance(error, TimeoutError):
        return "nothing came for too long"
    return f"{type(error).__name__}: {error}"[:300]


@contextmanager
def _cut_after(seconds: float, sock: socket.socket, late: threading.Event) -> Iterator[None]:
    """End what outlives its time, however busily the other side drips bytes."""

    def cut() -> None:
        late.set()
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    watchdog = threading.Timer(seconds, cut)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def _line(parts: SplitResult, seconds: float) -> http.client.HTTPConnection:
    host = str(parts.hostname)
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=seconds)
    trust = ssl.create_default_context(cafile=certifi.where())
    return http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=trust)


def _fetch(
    line: http.client.HTTPConnection,
    parts: SplitResult,
    into: IO[bytes],
    tell: Callable[[str], None],
    late: threading.Event,
) -> Downloaded:
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    asked = {"User-Agent": settings.USER_AGENT, "Accept-Encoding": "identity"}
    line.request("GET", path, headers=asked)
    answer = line.getresponse()
    announced = _announced(answer)
    size = _pour(answer, into, tell, announced)
    if late.is_set():
        raise TimeoutError
    if announced is not None and size != announced:
        raise DownloadFailed(f"cut short: {size:,} of {announced:,} bytes arrived")
    if not size:
        raise DownloadFailed("the answer is empty")
    return Downloaded(size, announced is not None or bool(answer.chunked), _published(answer))


def _announced(answer: http.client.HTTPResponse) -> int | None:
    """How long the body will be; refuses an answer that cannot be the file."""
    if answer.status != 200:
        raise DownloadFailed(f"HTTP {answer.status} {answer.reason}"[:200])
    encoding = answer.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"identity", "gzip"}:
        raise DownloadFailed(f"it is packed with {encoding[:30]}, which nobody asked for")
    said = answer.headers.get("Content-Length")
    if said is None:
        return None
    if int(said) > MOST_BYTES:
        raise DownloadFailed(f"{int(said):,} bytes are announced; {MOST_BYTES:,} are allowed")
    return int(said)


def _pour(
    answer: http.client.HTTPResponse,
    into: IO[bytes],
    tell: Callable[[str], None],
    announced: int | None,
) -> int:
    size = told = 0
    of = f" of {announced / 1e6:.1f}" if announced else ""
    while chunk := answer.read1(CHUNK):
        size += len(chunk)
        if size > MOST_BYTES:
            raise DownloadFailed(f"more than {MOST_BYTES:,} bytes")
        into.write(chunk)
        if size - told >= TELL_EVERY:
            told = size
            tell(f"{size / 1e6:.1f}{of} MB received")
    return size


def _published(answer: http.client.HTTPResponse) -> dt.datetime | None:
    try:
        at = parsedate_to_datetime(answer.headers.get("Last-Modified", ""))
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)
