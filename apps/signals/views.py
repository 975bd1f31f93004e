"""The door for signals: sizes and addresses here, everything else in ``intake``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.db import connection
from django.http import HttpRequest, JsonResponse, UnreadablePostError

from apps.brokers.models import BrokerAccount
from apps.brokers.recording import on_a_living_connection
from apps.brokers.rows import columns_of, from_columns
from apps.signals import intake
from apps.signals.intake import Answer
from apps.signals.models import SignalSource

MOST_BYTES = 16 * 1024
_HOOK = re.compile(r"[A-Za-z0-9_-]{20,64}")
_LENGTH = re.compile(r"[0-9]{1,12}", re.ASCII)
_READ = f"""
    SELECT {columns_of(SignalSource, "source")}, {columns_of(BrokerAccount, "account")}
    FROM signals_signalsource source
    JOIN brokers_brokeraccount account ON account.id = source.account_id
    WHERE source.hook_id = %s AND source.enabled
"""  # noqa: S608 - names of columns


def hook(request: HttpRequest, hook_id: str) -> JsonResponse:
    """One signal from a source. The sender is known by its signature, not by a session."""
    if request.method != "POST":
        answer = JsonResponse({"error": "only POST"}, status=405)
        answer["Allow"] = "POST"
        return answer
    taken = _take(request, hook_id)
    return JsonResponse(taken.body, status=taken.status)


def _take(request: HttpRequest, hook_id: str) -> Answer:
    raw = _body(request)
    if isinstance(raw, Answer):
        return raw
    return on_a_living_connection(_heard, hook_id, request.headers, raw)


def _heard(hook_id: str, headers: Mapping[str, str], raw: bytes) -> Answer:
    source = _source(hook_id)
    if source is None:
        return Answer(404, {"error": "not found"})
    return intake.hear(source, headers, raw)


def _body(request: HttpRequest) -> bytes | Answer:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not _LENGTH.fullmatch(length):
        return Answer(400, {"error": "Content-Length must be a number"})
    if int(length) > MOST_BYTES:
        return _too_large()
    try:
        raw = request.read(MOST_BYTES + 1)
    except UnreadablePostError:
        return Answer(400, {"error": "the body did not arrive"})
    return _too_large() if len(raw) > MOST_BYTES else raw


def _too_large() -> Answer:
    return Answer(413, {"error": f"a signal has at most {MOST_BYTES} bytes"})


def _source(hook_id: str) -> SignalSource | None:
    """The enabled source; unknown and disabled ones look the same from outside."""
    if not _HOOK.fullmatch(hook_id):
        return None
    with connection.cursor() as cursor:
        cursor.execute(_READ, [hook_id])
        row = cursor.fetchone()
    if row is None:
        return None
    source, at = from_columns(SignalSource, row, 0)
    account, _ = from_columns(BrokerAccount, row, at)
    if source is not None and account is not None:
        source.account = account
    return source
