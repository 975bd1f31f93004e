"""The official SDK's endpoint classes, put on our own line."""

from __future__ import annotations

from dhanhq import dhanhq

from apps.brokers.dhan.line import Line, ReadLine
from apps.brokers.models import WireCall


class _Context:
    """What the SDK's endpoint classes ask of a ``DhanContext``, without its own session."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def get_dhan_http(self) -> Line:
        return self._line

    def get_client_id(self) -> str:
        return self._line.client_id


class DhanClient(dhanhq):  # type: ignore[misc]
    """The SDK bound to one journal row: the first request uses it up."""

    def __init__(self, call: WireCall) -> None:
        self.line = self._line_for(call)
        super().__init__(_Context(self.line))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self.line!r}>"

    @staticmethod
    def _line_for(call: WireCall) -> Line:
        return Line(call)


class ReadClient(DhanClient):
    """The SDK on a line that only reads, whichever method is called."""

    @staticmethod
    def _line_for(call: WireCall) -> Line:
        return ReadLine(call)
