"""Readiness of what the rules ask for and people should see coming: funds and margin."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery

from apps.brokers.models import CallOutcome, WireCall
from apps.brokers.readiness import Facts, Finding, amber, green
from apps.risk.models import RiskPolicy


def _last_read(column: str) -> Subquery:
    reads: QuerySet[Any] = WireCall.objects.filter(account=OuterRef("pk"), what="margin")
    return Subquery(reads.exclude(outcome="").order_by("-id").values(column)[:1])


def _in_force(column: str) -> Subquery:
    policies: QuerySet[Any] = RiskPolicy.objects.filter(account=OuterRef("pk"))
    return Subquery(policies.order_by("-version").values(column)[:1])


class FundsRead:
    """Funds and positions are younger than the policy asks. Stops nothing: both are read again
    before an entry, and the rule ``AgeOfData`` looks at what came of it."""

    name = "funds"
    stops = False
    facts = {
        "funds": F("funds__as_of"),
        "positions": F("positions__as_of"),
        "limit": _in_force("max_data_age"),
    }

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """See the class."""
        missing = [name for name in ("funds", "positions") if facts[name] is None]
        if missing:
            return amber(f"{' and '.join(missing)} not read yet")
        oldest = min(facts["funds"], facts["positions"])
        limit = facts["limit"]
        if limit is not None and now - oldest > dt.timedelta(seconds=limit):
            return amber(f"older than the {limit} s that the policy allows: read again", oldest)
        return green("funds and positions are fresh", oldest)


class MarginTold:
    """The broker's calculator answered when it was last asked. Stops nothing: ``Margin`` does."""

    name = "margin"
    stops = False
    facts = {
        "checked": _in_force("check_margin"),
        "asked_at": _last_read("created_at"),
        "outcome": _last_read("outcome"),
    }

    def look(self, facts: Facts, now: dt.datetime) -> Finding:
        """See the class."""
        if not facts["checked"]:
            return green("the policy does not ask for it")
        if facts["asked_at"] is None:
            return amber("the broker's calculator was not asked yet")
        if facts["outcome"] == CallOutcome.ANSWERED:
            return green("the broker's calculator answers", facts["asked_at"])
        return amber("the broker's calculator did not answer", facts["asked_at"])
