"""Whose address counts at sign-in. What a client writes into a header must never count."""

from __future__ import annotations

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """The peer; behind ``TRUSTED_PROXIES`` proxies, what the outermost of them saw as its peer.

    Each proxy appends its peer to X-Forwarded-For, so the n-th entry from the right was written
    by our own outermost proxy. Anything further left came from outside.
    """
    peer: str | None = request.META.get("REMOTE_ADDR") or None
    proxies: int = settings.TRUSTED_PROXIES
    told = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    if proxies < 1 or len(told) < proxies:
        return peer
    try:
        return str(ip_address(told[-proxies]))
    except ValueError:
        return peer
