"""The live order page."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from apps.brokers.models import BrokerAccount
from apps.desk import blotter, rights
from apps.desk.blotter import Filters
from apps.desk.pages import desk_page, show
from apps.desk.rows import html_of
from apps.orders.models import Order, Source
from apps.risk.models import DESK


@desk_page("orders.view_order")
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Orders, newest first; the socket keeps the rows right from here on."""
    filters = Filters.parse(request.GET.dict())
    sheet = blotter.read(filters)
    its = rights.of(request.user)
    accounts = list(BrokerAccount.objects.all())
    return show(
        request,
        "live",
        "Live orders",
        rows=[html_of(unit, its) for unit in sheet.units],
        sheet=sheet,
        seen_json=json.dumps(sheet.seen),
        filters=filters,
        filters_json=json.dumps(filters.as_json()),
        groups=[(name, words) for name, (words, _) in blotter.GROUPS.items()],
        accounts=accounts,
        sources=Source.choices,
        strategies=blotter.strategies(filters),
        limits={"order": blotter.LIMIT, "bracket": blotter.BRACKETS},
        limits_json=json.dumps({"order": blotter.LIMIT, "bracket": blotter.BRACKETS}),
        full_json=json.dumps(sheet.full),
        rights=its,
        scopes=[DESK, *(account.name for account in accounts)],
        is_fullwidth="1",
        any_orders=bool(sheet.units) or Order.objects.exists(),
    )
