"""The table of transitions as a document, so that the document cannot lie."""

from __future__ import annotations

from apps.orders.states import FACTS, TERMINAL, TRANSITIONS, Event, Status

HEAD = """\
# The life of an order

Made from `apps/orders/states.py` by `manage.py describe_order_life > docs/order-life.md`; a test
holds the two equal. Rows are statuses, with what may happen in each and where it leads.

**Ours**: an event that the table does not list is a bug and raises. **The broker's**: one that does
not fit is stored, raises an alert, marks the account for reconciliation, and changes nothing.
"""


def as_markdown() -> str:
    """The document."""
    lines = [HEAD]
    for status in Status:
        over = " (over)" if status in TERMINAL else ""
        lines += [f"## {status}{over}", "", "| event | told by | leads to |", "|---|---|---|"]
        lines += [_row(status, event) for event in Event if (status, event) in TRANSITIONS]
        lines.append("")
    return "\n".join(lines)


def _row(status: Status, event: Event) -> str:
    to = TRANSITIONS[status, event]
    who = "broker" if event in FACTS else "desk"
    return f"| {event} | {who} | {'stays' if to is status else to} |"
