"""Orders and what happened to them, for looking things up. Nothing here can be edited."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.alerts.history import HistoryAdmin
from apps.orders import imports_admin, words
from apps.orders.models import (
    Fill,
    Modification,
    Order,
    OrderEvent,
    OrderQuerySet,
    Progress,
    Slicing,
    Unattributed,
)

__all__ = ["imports_admin"]  # registered by being imported


@admin.register(Order)
class OrderAdmin(HistoryAdmin):
    """Every order; one opens on the desk's own page with its timeline."""

    list_display = (
        "created_at",
        "account",
        "instrument",
        "way",
        "quantity",
        "filled_quantity",
        "order_type",
        "limit",
        "state",
        "source",
        "strategy",
        "correlation_id",
        "broker_order_id",
    )
    list_filter = ("account", "status", "source")
    list_select_related = ("account", "instrument")
    search_fields = (
        "correlation_id__exact",
        "broker_order_id__exact",
        "parent__public_id__exact",
        "origin__correlation_id__exact",
        "instrument__symbol",
    )
    search_help_text = (
        "Correlation id, broker's order id or id of a sliced order in full, or part of a symbol."
    )

    def get_queryset(self, request: HttpRequest) -> OrderQuerySet:
        """Orders of another system included."""
        return Order.every.order_by("-pk")

    @admin.display(description="side", ordering="side")
    def way(self, order: Order) -> SafeString:
        """Buy or sell, in its colour."""
        return format_html('<span class="desk-{}">{}</span>', order.side.lower(), order.side)

    @admin.display(description="price", ordering="price")
    def limit(self, order: Order) -> str:
        """The limit price; none of a market order."""
        return words.rupees(order.price)

    @admin.display(description="status", ordering="status")
    def state(self, order: Order) -> SafeString:
        """Where it is in its life, in its colour."""
        tone, word = words.status_tone(order.status), words.status_word(order.status)
        return format_html('<span class="desk-status desk-tone-{}">{}</span>', tone, word)

    def change_view(
        self, request: HttpRequest, object_id: str, *_: object, **__: object
    ) -> HttpResponseRedirect:
        """The order's page."""
        return HttpResponseRedirect(reverse("desk:order", args=[object_id]))


@admin.register(Slicing)
class SlicingAdmin(HistoryAdmin):
    """Orders above the freeze quantity; one opens on the desk's own page with its slices."""

    list_display = (
        "created_at",
        "account",
        "instrument",
        "side",
        "total",
        "pieces",
        "dropped",
        "state",
        "source",
        "strategy",
        "public_id",
    )
    list_filter = ("account", "status", "source")
    list_select_related = ("account", "instrument")
    search_fields = ("public_id__exact", "slices__correlation_id__exact", "instrument__symbol")
    search_help_text = "Its id or that of a slice in full, or part of a symbol."

    @admin.display(description="slices")
    def pieces(self, whole: Slicing) -> int:
        """How many orders it takes."""
        return len(whole.plan)

    @admin.display(description="status", ordering="status")
    def state(self, whole: Slicing) -> SafeString:
        """Where it is, in its colour."""
        tone = words.PROGRESS[Progress(whole.status)][0]
        word = whole.get_status_display()
        return format_html('<span class="desk-status desk-tone-{}">{}</span>', tone, word)

    def change_view(
        self, request: HttpRequest, object_id: str, *_: object, **__: object
    ) -> HttpResponseRedirect:
        """The page of the whole."""
        return HttpResponseRedirect(reverse("desk:whole", args=[object_id]))


@admin.register(OrderEvent)
class OrderEventAdmin(HistoryAdmin):
    """What happened, also what was not applied."""

    list_display = ("at", "order", "event", "before", "after", "applied", "origin", "text")
    list_filter = ("applied", "event", "origin")
    list_select_related = ("order__instrument",)
    search_fields = ("order__correlation_id__exact",)
    raw_id_fields = ("order",)


@admin.register(Fill)
class FillAdmin(HistoryAdmin):
    """Trades at the exchange."""

    list_display = (
        "recorded_at",
        "account",
        "order",
        "quantity",
        "at",
        "traded_at",
        "exchange_trade_id",
        "broker_order_id",
    )
    list_filter = ("account", "segment")
    list_select_related = ("account", "order__instrument")
    search_fields = (
        "broker_order_id__exact",
        "exchange_trade_id__exact",
        "order__correlation_id__exact",
    )

    @admin.display(description="price", ordering="price")
    def at(self, fill: Fill) -> str:
        """What was paid or got per unit."""
        return words.rupees(fill.price)


@admin.register(Modification)
class ModificationAdmin(HistoryAdmin):
    """Changes of terms that were asked for."""

    list_display = ("requested_at", "order", "quantity", "price", "status", "actor", "cause")
    list_filter = ("status",)
    list_select_related = ("order__instrument",)
    search_fields = ("order__correlation_id__exact",)


@admin.register(Unattributed)
class UnattributedAdmin(HistoryAdmin):
    """News of orders that are not ours, or not yet known to be."""

    list_display = ("last_seen", "account", "broker_order_id", "state_word", "origin", "order")
    list_filter = ("account", "trading_day")
    list_select_related = ("account", "order__instrument")
    search_fields = ("broker_order_id__exact",)
