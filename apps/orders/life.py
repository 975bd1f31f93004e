"""The table of transitions and the proofs of endings as a document, so that it cannot lie."""

from __future__ import annotations

from apps.orders.endings import ENDINGS, Ending
from apps.orders.states import FACTS, TERMINAL, TRANSITIONS, Event, Status

HEAD = """\
# The life of an order

Made from `apps/orders/states.py` and `apps/orders/endings.py` by `manage.py describe_order_life >
docs/order-life.md`; a test holds them equal. Rows are statuses, with what may happen in each and
where it leads.

**Ours**: an event that the table does not list is a bug and raises. **The broker's**: one that does
not fit is stored, raises an alert, marks the account for reconciliation, and changes nothing.
"""

PROOFS = """\
## Every outcome, its row

Each way to end, the stored row that proves it, and the query that lists the orders that ended this
way and are proved (for one order add `AND o.correlation_id = '…'`). A test runs each of them, and
`make chaos` asks all of them of every order: one that is over and in none of them is a bug. Reads
are kept for a month; of a NEVER_ARRIVED the words of its events stay.
"""


def as_markdown() -> str:
    """The document."""
    lines = [HEAD]
    for status in Status:
        over = " (over)" if status in TERMINAL else ""
        lines += [f"## {status}{over}", "", "| event | told by | leads to |", "|---|---|---|"]
        lines += [_row(status, event) for event in Event if (status, event) in TRANSITIONS]
        lines.append("")
    lines.append(PROOFS)
    lines += [_proof(number, ending) for number, ending in enumerate(ENDINGS, 1)]
    return "\n".join(lines)


def _proof(number: int, ending: Ending) -> str:
    title = f"**{number}. {ending.status}: {ending.how}.** Told by {' or '.join(ending.events)}."
    return f"{title}\n\nProof: {ending.proof}.\n\n```sql\n{ending.sql};\n```\n"


def _row(status: Status, event: Event) -> str:
    to = TRANSITIONS[status, event]
    who = "broker" if event in FACTS else "desk"
    return f"| {event} | {who} | {'stays' if to is status else to} |"
