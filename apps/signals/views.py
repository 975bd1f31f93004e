"""The door for signals: sizes and addresses here, everything else in ``intake``."""

from __future__ import annotations

import re

from django.http import HttpRequest, JsonResponse, UnreadablePostError

from apps.brokers.rows import read_row, with_related
from apps.signals import intake
from apps.signals.intake import Answer
from apps.signals.models import SignalSource

MOST_BYTES = 16 * 1024
_HOOK = re.compile(r"[A-Za-z0-9_-]{20,64}")
_LENGTH = re.compile(r"[0-9]{1,12}", re.ASCII)


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
    source = _source(hook_id)
    if source is None:
        return Answer(404, {"error": "not found"})
    return intake.hear(source, request.headers, raw)


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
    source = read_row(SignalSource, "hook_id = %s AND enabled", [hook_id])
    return source and with_related(source, "account")
