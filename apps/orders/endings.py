"""How an order can end, and for each way the stored row that proves it.

Each query lists the events that ended an order this way *and* are proved; an order that ended
otherwise, or whose proof is missing, is not among them. So what ends without a row here is a bug.
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.orders.states import Event, Status

_FROM = """\
SELECT e.id AS event, o.correlation_id, e.at, e.origin, e.text
FROM orders_orderevent e JOIN orders_order o ON o.id = e.order_id"""


@dataclass(frozen=True)
class Ending:
    """One way to end: the events that lead there, and what the stored rows must say besides."""

    status: Status
    how: str
    events: tuple[Event, ...]
    proof: str
    conditions: tuple[str, ...]
    joins: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """Lists what ended so and is proved; conditions may be added at its end."""
        events = ", ".join(f"'{event}'" for event in self.events)
        where = f"WHERE e.applied AND e.after = '{self.status}' AND e.event IN ({events})"
        more = [f"  AND {condition}" for condition in self.conditions]
        return "\n".join([_FROM, *(f"     {join}" for join in self.joins), where, *more])


_BROKERS_WORDS = "e.origin IN ('feed', 'book', 'look') AND e.raw <> '{}'"
_NO_IN_A_YES = "w.verb = 'PLACE' AND w.outcome = 'ACCEPTED' AND w.response IS NOT NULL"
_REFUSALS = "NOT d.allowed AND d.correlation_id = o.correlation_id AND d.refusals <> '[]'"
_CALL = "JOIN brokers_wirecall w ON w.id = e.wire_call_id"
_NOTHING_LEFT = """\
NOT EXISTS (SELECT 1 FROM brokers_wirecall w WHERE w.correlation_id = o.correlation_id
                  AND w.verb = 'PLACE' AND w.outcome <> 'NOT_SENT' AND w.created_at <= e.at)"""
_APPROVAL = """\
LEFT JOIN risk_approval a ON a.kind = 'ORDER' AND a.subject IN (o.correlation_id,
            (SELECT public_id FROM orders_slicing WHERE id = o.parent_id))"""
_TWO_BOOKS = """\
2 <= (SELECT count(DISTINCT book.id)
            FROM orders_orderevent absence
            JOIN brokers_wirecall w ON w.correlation_id = o.correlation_id
                AND w.verb = 'PLACE' AND w.outcome = 'UNKNOWN'
            JOIN brokers_wirecall book ON book.account_id = o.account_id
                AND book.verb = 'READ' AND book.what = 'order book'
                AND book.outcome = 'ANSWERED' AND book.endpoint = w.endpoint
                AND book.created_at > w.send_by
            WHERE absence.order_id = o.id AND absence.origin = 'look' AND absence.applied
              AND absence.id <= e.id
              AND position(to_char(book.created_at AT TIME ZONE 'Asia/Kolkata', 'HH24:MI:SS.US')
                           IN absence.text) > 0)"""

_NOTHING_OF_OURS = """\
NOT EXISTS (SELECT 1 FROM brokers_wirecall w WHERE w.correlation_id = o.correlation_id)
  AND NOT EXISTS (SELECT 1 FROM risk_decision d WHERE d.correlation_id = o.correlation_id)
  AND NOT EXISTS (SELECT 1 FROM risk_hold h WHERE h.correlation_id = o.correlation_id)"""


def _either(one: str, other: str) -> str:
    return f"({one}\n       OR {other})"


ENDINGS = (
    Ending(
        Status.FILLED,
        "all of it traded",
        (Event.FILL,),
        "the event holds the broker's message that states quantity and filled quantity",
        (_BROKERS_WORDS,),
    ),
    Ending(
        Status.CANCELLED,
        "at the broker",
        (Event.CANCEL,),
        "the event holds the broker's message",
        (_BROKERS_WORDS,),
    ),
    Ending(
        Status.CANCELLED,
        "by us, before it left",
        (Event.WITHDRAW, Event.ABANDON),
        "the event, and the journal holds no placement that could have left",
        (_NOTHING_LEFT,),
    ),
    Ending(
        Status.EXPIRED,
        "its day or its validity ended",
        (Event.EXPIRE,),
        "the event holds the broker's message",
        (_BROKERS_WORDS,),
    ),
    Ending(
        Status.REJECTED,
        "the answer to the placement was no",
        (Event.REFUSE,),
        "the journal row of the placement holds the answer",
        (
            "w.correlation_id = o.correlation_id AND w.verb = 'PLACE'",
            "w.outcome = 'REFUSED' AND w.http_status IS NOT NULL AND w.response IS NOT NULL",
        ),
        (_CALL,),
    ),
    Ending(
        Status.REJECTED,
        "taken first, then turned away",
        (Event.REJECT,),
        "the event holds the broker's message, or the journal row the answer that says so",
        (_either(_BROKERS_WORDS, _NO_IN_A_YES),),
        (f"LEFT {_CALL}",),
    ),
    Ending(
        Status.DENIED,
        "by a rule, or by a second person",
        (Event.DENY,),
        "the decision with every value it saw and every refusal, or the approval that was refused",
        (
            _either(_REFUSALS, "e.origin = 'approval' AND a.decision <> ''"),
            _NOTHING_LEFT,
        ),
        ("LEFT JOIN risk_decision d ON d.id = e.decision_id", _APPROVAL),
    ),
    Ending(
        Status.DENIED,
        "when it was to leave: a switch had turned",
        (Event.DENY,),
        "the event says why, and the journal holds no placement that could have left",
        (
            "e.origin = 'gate' AND e.before = 'APPROVED' AND e.decision_id IS NULL",
            "e.text <> ''",
            _NOTHING_LEFT,
        ),
    ),
    Ending(
        Status.LAPSED,
        "it could not leave while its decision lived",
        (Event.LAPSE,),
        "decision or approval ran out before the event, and no placement could have left",
        (
            _either("o.decide_by <= e.at", "a.decision = 'EXPIRED'"),
            _NOTHING_LEFT,
        ),
        (_APPROVAL,),
    ),
    Ending(
        Status.NEVER_ARRIVED,
        "its answer was lost, and the broker never had it",
        (Event.PROVE_ABSENT,),
        "two order books, answered and begun after the call could last leave, without it: each"
        " absence names the time of its book",
        ("e.origin = 'look'", _TWO_BOOKS),
    ),
    Ending(
        Status.NEVER_ARRIVED,
        "its answer was lost, and two people say what the broker's statement shows",
        (Event.RELEASE,),
        "the approval of the second person, carried out, with the reasons of both",
        (
            "a.decision = 'APPROVED' AND a.executed_at IS NOT NULL",
            "a.decided_by_id <> a.requested_by_id AND a.reason <> ''",
        ),
        ("JOIN risk_approval a ON a.kind = 'RELEASE' AND a.subject = o.correlation_id",),
    ),
    Ending(
        Status.IMPORTED,
        "another system's history, never an order of this desk",
        (Event.IMPORT,),
        "the row as it stood in that system's file, with the file's SHA-256; and neither a hold, a"
        " decision nor a call is about it",
        (
            "e.before = 'NEW' AND r.content <> '{}' AND length(f.sha256) = 64",
            _NOTHING_OF_OURS,
        ),
        (
            "JOIN orders_importedrow r ON r.id = o.origin_id",
            "JOIN orders_legacyimport f ON f.id = r.brought_by_id",
        ),
    ),
)
