"""What each trading day came to, by account and owner; as a page and as CSV."""

from __future__ import annotations

import csv

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from apps.desk.pages import desk_page, show
from apps.orders.models import DayReport

ROWS = 60
MAY_VIEW = "orders.view_dayreport"
COLUMNS = (
    "owner",
    "instrument",
    "product",
    "bought",
    "bought_value",
    "sold",
    "sold_value",
    "realised",
    "net",
    "average",
)
NOT_KNOWN = "not known"


@desk_page(MAY_VIEW)
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The last reports, the newest first."""
    reports = DayReport.objects.select_related("account")
    return show(request, "days", "Days", reports=reports[:ROWS])


@desk_page(MAY_VIEW)
@require_safe
def as_csv(request: HttpRequest, pk: int) -> HttpResponse:
    """One report's rows, a line per owner and instrument."""
    report = get_object_or_404(DayReport.objects.select_related("account"), pk=pk)
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    name = f"{report.account.name}-{report.trading_day:%Y-%m-%d}.csv"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    lines = csv.writer(answer)
    lines.writerow(["day", "account", *COLUMNS, "charges"])
    for row in report.data["owners"]:
        values = [_safe("" if row[name] is None else row[name]) for name in COLUMNS]
        charges = report.data["charges"]
        lines.writerow(
            [
                report.trading_day.isoformat(),
                _safe(report.account.name),
                *values,
                NOT_KNOWN if charges is None else charges,
            ]
        )
    return answer


def _safe(value: object) -> object:
    """A text that no spreadsheet takes for a formula."""
    text = isinstance(value, str) and value[:1] in {"=", "+", "@", "\t", "\r"}
    return f"'{value}" if text else value
