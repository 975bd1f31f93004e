"""DhanHQ's ways of saying no, and what each of them means for us.

Sources: DhanHQ v2 documentation, introduction and annexure pages (``errorType``, ``errorCode``,
``errorMessage``; data APIs with ``status`` and numbered texts); messages recorded on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.brokers.port import ReadFailed
from apps.brokers.storable import clean_text

RATE_CODES = {"DH-904", "RL001", "805"}
# The broker's own trouble: after an order, nobody knows whether it went through.
AMBIGUOUS_CODES = {"DH-908", "DH-909", "DH-910", "800"}
TOKEN_CODES = {"DH-901", "AUTH001", "807", "808", "809", "810"}
ACCESS_CODES = {"DH-902", "DH-903", "806"}
_FAILED = {"failed", "failure", "error"}
_MAX_MESSAGE = 500


@dataclass(frozen=True)
class Complaint:
    """A well-formed error of the broker; ``code`` is empty when it gave none."""

    code: str
    text: str

    @property
    def about_rate(self) -> bool:
        """Too many calls; nothing was done."""
        return self.code in RATE_CODES

    @property
    def ambiguous(self) -> bool:
        """The broker failed inside: a request that changes something may have been done."""
        return self.code in AMBIGUOUS_CODES

    @property
    def kind(self) -> str:
        """One word for pages: rate, server, token, address, access or refused."""
        text = self.text.casefold()
        if "invalid ip" in text or self.code == "DH-911":
            return "address"
        if self.code in TOKEN_CODES or "invalid token" in text:
            return "token"
        if self.code in ACCESS_CODES:
            return "access"
        if self.about_rate:
            return "rate"
        return "server" if self.ambiguous else "refused"

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" if self.code else self.text


def complaint_in(body: object) -> Complaint | None:
    """The error that the body carries, whatever the HTTP status; None when it carries none."""
    if isinstance(body, list):
        # Some answers are a list of one error under HTTP 200 (recorded for the IP list).
        return complaint_in(body[0]) if len(body) == 1 and _says_failed(body[0]) else None
    if not isinstance(body, Mapping):
        return None
    code = body.get("errorCode")
    if isinstance(code, str) and code.strip():
        return Complaint(code.strip()[:40], _message(body))
    return _numbered(body) if _says_failed(body) else None


def _says_failed(body: object) -> bool:
    status = body.get("status") if isinstance(body, Mapping) else None
    return isinstance(status, str) and status.casefold() in _FAILED


def _numbered(body: Mapping[str, object]) -> Complaint:
    data = body.get("data")
    if isinstance(data, Mapping):
        for code, text in data.items():
            if code.isdigit():
                return Complaint(code[:40], clean_text(str(text))[:_MAX_MESSAGE])
    return Complaint("", _message(body))


def _message(body: Mapping[str, object]) -> str:
    for key in ("errorMessage", "message", "remarks", "errorType"):
        text = body.get(key)
        if isinstance(text, str) and text.strip():
            return clean_text(text.strip())[:_MAX_MESSAGE]
    return "no reason given"


def read_failed(status: int | None, complaint: Complaint) -> ReadFailed:
    """The complaint as a failed read; only rate and inner trouble can pass by themselves."""
    transient = complaint.about_rate or complaint.ambiguous or (status or 0) >= 500
    kind = complaint.kind
    if kind in {"token", "address", "access"}:
        transient = False
    elif (status or 0) >= 500:
        kind = "server"
    return ReadFailed(f"HTTP {status}: {complaint}", transient=transient, kind=kind)
