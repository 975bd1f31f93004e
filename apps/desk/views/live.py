"""The live order page, and the admin's front door that leads to it."""

from __future__ import annotations

import json

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from apps.brokers.models import BrokerAccount
from apps.desk import blotter
from apps.desk.blotter import Filters
from apps.desk.pages import desk_page, show
from apps.desk.rows import html_of
from apps.orders.models import Order


def front(request: HttpRequest) -> HttpResponseBase:
    """The live page for who may see orders; the admin's own index for others."""
    if request.user.is_staff and request.user.has_perm("orders.view_order"):
        return redirect("desk:live")
    return admin.site.admin_view(admin.site.index)(request)


@desk_page("orders.view_order")
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Orders, newest first; the socket keeps the rows right from here on."""
    filters = Filters.parse(request.GET.dict())
    sheet = blotter.read(filters)
    may_cancel = request.user.has_perm("orders.cancel_order")
    return show(
        request,
        "live",
        "Live orders",
        rows=[html_of(order, may_cancel=may_cancel) for order in sheet.orders],
        sheet=sheet,
        seen_json=json.dumps(sheet.seen),
        filters=filters,
        filters_json=json.dumps(filters.as_json()),
        groups=[(name, words) for name, (words, _) in blotter.GROUPS.items()],
        accounts=BrokerAccount.objects.all(),
        limit=blotter.LIMIT,
        may_place=request.user.has_perm("orders.place_order"),
        is_fullwidth="1",
        any_orders=bool(sheet.orders) or Order.objects.exists(),
    )
