"""DhanHQ's ways of saying no, and what each of them means for us: one table.

Sources: DhanHQ v2 documentation, introduction and annexure pages (``errorType``, ``errorCode``,
``errorMessage``; data APIs with ``status`` and numbered texts); portal, errors and rate-limit
pages (``E001``, ``AUTH001``, ``RL001``); messages recorded on the wire. The documentation does not
say which errors pass by themselves: that column is our reading.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from apps.brokers.port import ReadFailed
from apps.brokers.storable import clean_text

_FAILED = {"failed", "failure", "error"}
_MAX_MESSAGE = 500


class After(Enum):
    """What an error means for a request that would have changed something."""

    NOTHING = "it was turned away at the door and provably did nothing"
    NO = "it was refused"
    DOUBT = "nobody knows: only the books can tell"


@dataclass(frozen=True)
class Meaning:
    """``kind`` is one word for pages; ``transient``: a read may be asked again."""

    kind: str
    transient: bool
    after: After


@dataclass(frozen=True)
class _Row:
    codes: frozenset[str]  # empty: whatever the code
    words: str  # a pattern that the message must contain; empty: whatever the message
    meaning: Meaning

    def fits(self, complaint: Complaint) -> bool:
        if self.codes and complaint.code not in self.codes:
            return False
        return bool(re.search(self.words, complaint.text, re.IGNORECASE))


@dataclass(frozen=True)
class Complaint:
    """A well-formed error of the broker; ``code`` is empty when it gave none."""

    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" if self.code else self.text


def _row(codes: str, kind: str, after: After, *, transient: bool = False, words: str = "") -> _Row:
    return _Row(frozenset(codes.split()), words, Meaning(kind, transient, after))


# The first row that fits counts. An auth failure may come coded as an order error, and a wrong
# address as an input error, so some codes are told apart by their message (recorded).
TABLE = (
    _row("", "address", After.NO, words=r"\binvalid ip\b"),
    _row("DH-911", "address", After.NO),
    _row("DH-901 AUTH001", "token", After.NOTHING),
    _row("", "token", After.DOUBT, words=r"\binvalid token\b"),
    _row("807 808 809 810", "token", After.DOUBT),
    _row("DH-902 DH-903", "access", After.NO),
    _row("806", "access", After.NO),
    _row("DH-904", "rate", After.NOTHING, transient=True),
    _row("805 RL001", "rate", After.DOUBT, transient=True),
    _row("DH-905 DH-906 DH-907 E001", "refused", After.NO),
    _row("804 811 812 813 814", "refused", After.NO),
    _row("DH-908 DH-909 DH-910 800", "server", After.DOUBT, transient=True),
    _row("DH-1111", "empty", After.NO),  # no holdings, said as HTTP 500 (recorded)
)
_UNLISTED = Meaning("refused", transient=False, after=After.NO)  # no code, only words
_STRANGE = Meaning("refused", transient=False, after=After.DOUBT)  # a code that nobody has seen
# An answer without an error that we can read: by its HTTP status alone.
_BARE = {
    401: Meaning("token", transient=False, after=After.DOUBT),
    403: Meaning("access", transient=False, after=After.NO),
    429: Meaning("rate", transient=True, after=After.NOTHING),
}
_OWN_TROUBLE = Meaning("server", transient=True, after=After.DOUBT)
# What a 5xx does not turn into trouble that passes by itself.
_STAYS = {"token", "address", "access", "empty"}


def meaning_of(status: int | None, complaint: Complaint | None) -> Meaning:
    """What an answer with this HTTP status and this error means."""
    status = status or 0
    found = _bare(status) if complaint is None else _by_words(complaint, status)
    if status >= 500:
        return replace(found, after=After.DOUBT) if found.kind in _STAYS else _OWN_TROUBLE
    if found.kind == "token" and complaint is not None:
        return replace(found, after=_after_bad_token(status, complaint, found.after))
    return found


def _after_bad_token(status: int, complaint: Complaint, after: After) -> After:
    """A documented error under 401 comes from the door; one inside a 200 has been further in."""
    if status == 401 and complaint.code and is_listed(complaint):
        return After.NOTHING
    return after if 400 <= status < 500 else After.DOUBT


def _by_words(complaint: Complaint, status: int) -> Meaning:
    """Words that say nothing to us leave the status to speak."""
    unlisted = _BARE.get(status, _UNLISTED if is_listed(complaint) else _STRANGE)
    return next((row.meaning for row in TABLE if row.fits(complaint)), unlisted)


def _bare(status: int) -> Meaning:
    if status in _BARE:
        return _BARE[status]
    return Meaning("refused", transient=False, after=After.DOUBT)


def is_listed(complaint: Complaint) -> bool:
    """False for a code that no documentation and no recording has shown yet."""
    return not complaint.code or any(complaint.code in row.codes for row in TABLE)


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
    meaning = meaning_of(status, complaint)
    return ReadFailed(f"HTTP {status}: {complaint}", transient=meaning.transient, kind=meaning.kind)
