"""A log of the requests served, for tests and for people; tokens never enter it."""

from collections import Counter, deque
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

KEPT = 10_000


@dataclass(slots=True)
class Visit:
    """One request. `status` None: no reply was sent."""

    n: int
    at: str
    method: str
    path: str
    endpoint: str
    client_id: str | None = None
    body: Any = None
    status: int | None = None
    fault: str | None = None


class RequestLog:
    """The last ten thousand requests, and how many there were of each kind since the start."""

    def __init__(self) -> None:
        self._visits: deque[Visit] = deque(maxlen=KEPT)
        self._numbers = count(1)
        self.counts: Counter[str] = Counter()

    def open(self, at: str, method: str, path: str, endpoint: str) -> Visit:
        visit = Visit(next(self._numbers), at, method, path, endpoint)
        self._visits.append(visit)
        self.counts[endpoint] += 1
        return visit

    def since(self, number: int) -> list[dict[str, Any]]:
        """Everything after request `number`, oldest first."""
        return [asdict(visit) for visit in self._visits if visit.n > number]

    def clear(self) -> None:
        self._visits.clear()
        self.counts.clear()
