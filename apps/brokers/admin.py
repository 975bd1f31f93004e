"""Accounts, instruments and the journal in the admin. Tokens go in here and never come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSplitDateTimeWidget

from apps.alerts.history import HistoryAdmin
from apps.brokers.accounts import check_token
from apps.brokers.models import (
    AccessToken,
    BrokerAccount,
    Instrument,
    MarginEstimate,
    Quote,
    WireCall,
)
from apps.brokers.models.quotes import levels
from apps.brokers.pages import CappedPaginator

if TYPE_CHECKING:
    _AccountForm = forms.ModelForm[BrokerAccount]
else:
    _AccountForm = forms.ModelForm

IDENTITY = ("broker", "client_id", "rest_url", "feed_url")


class BrokerAccountForm(_AccountForm):
    """The account, with a field that takes a new token and shows none."""

    token = forms.CharField(
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Write a new access token here to put it in force; it is never shown again.",
    )
    token_expires = forms.SplitDateTimeField(
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget(),
        help_text="Until when the new token lives. Empty: not known.",
    )

    class Meta:
        model = BrokerAccount
        fields = ("name", *IDENTITY, "market_feed_url", "stamp_zone", "enabled", "armed_until")

    def clean(self) -> dict[str, Any]:
        """A token is needed for an expiry, and must look like one."""
        cleaned = super().clean() or self.cleaned_data
        token, expires = cleaned.get("token"), cleaned.get("token_expires")
        if token:
            check_token(token, expires)
        elif expires:
            self.add_error("token_expires", "Write the token that lives until then as well.")
        return cleaned


@admin.register(BrokerAccount)
class BrokerAccountAdmin(ModelAdmin):  # type: ignore[misc]
    """Accounts; what identifies one is fixed by its first call to the broker."""

    form = BrokerAccountForm
    list_display = (
        "name",
        "broker",
        "environment",
        "client_id",
        "enabled",
        "armed_until",
        "token_state",
    )
    list_filter = ("broker", "enabled")
    search_fields = ("name", "client_id")
    fieldsets = (
        (None, {"fields": ("name", *IDENTITY, "market_feed_url", "stamp_zone")}),
        ("Trading", {"fields": ("enabled", "armed_until")}),
        ("Access token", {"fields": ("token", "token_expires")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[BrokerAccount]:
        """Accounts with the dates of their token, but not the token."""
        in_force = AccessToken.objects.filter(retired_at=None).defer("value")
        queryset: QuerySet[BrokerAccount] = super().get_queryset(request)
        return queryset.prefetch_related(Prefetch("tokens", in_force, to_attr="in_force"))

    @admin.display(description="environment")
    def environment(self, account: BrokerAccount) -> str:
        """Paper, sandbox or live."""
        return account.environment

    @admin.display(description="token")
    def token_state(self, account: BrokerAccount) -> str:
        """Whether a token is in force, and until when."""
        tokens: list[AccessToken] = getattr(account, "in_force", [])
        if not tokens:
            return "missing"
        token = tokens[0]
        if token.expires_at is None:
            return "in force, life not known"
        until = timezone.localtime(token.expires_at)
        return f"{'expired' if token.expired else 'until'} {until:%d %b %H:%M}"

    def get_readonly_fields(
        self, request: HttpRequest, obj: BrokerAccount | None = None
    ) -> tuple[str, ...]:
        """The identity of an account that has talked to its broker stays as it is."""
        return IDENTITY if obj is not None and obj.wire_calls.exists() else ()

    def has_delete_permission(self, request: HttpRequest, obj: BrokerAccount | None = None) -> bool:
        """Only an account that was never used can be deleted, one at a time."""
        unused = obj is not None and not obj.wire_calls.exists()
        return unused and bool(super().has_delete_permission(request, obj))

    def save_model(
        self, request: HttpRequest, obj: BrokerAccount, form: BrokerAccountForm, change: bool
    ) -> None:
        """Save the account, and put a token in force when one was written."""
        super().save_model(request, obj, form, change)
        if form.cleaned_data.get("token"):
            AccessToken.put_in_force(
                obj, form.cleaned_data["token"], form.cleaned_data.get("token_expires")
            )


@admin.register(Instrument)
class InstrumentAdmin(ModelAdmin):  # type: ignore[misc]
    """What can be traded. The broker's file decides the facts; people decide ``tradable``."""

    list_display = ("symbol", "name", "segment", "kind", "security_id", "lot_size", "tradable")
    list_filter = ("segment", "kind", "tradable")
    search_fields = ("symbol", "name", "security_id__exact")
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator

    def get_readonly_fields(
        self, request: HttpRequest, obj: Instrument | None = None
    ) -> tuple[str, ...]:
        """Everything but the switch, once the instrument is there."""
        names = tuple(field.name for field in Instrument._meta.fields if field.name != "id")
        return ("updated_at",) if obj is None else tuple(n for n in names if n != "tradable")

    def has_delete_permission(self, request: HttpRequest, obj: Instrument | None = None) -> bool:
        """Orders keep pointing at their instrument: switch it off instead."""
        return False


@admin.register(Quote)
class QuoteAdmin(HistoryAdmin):
    """The last prices heard, real and simulated apart."""

    list_display = (
        "instrument",
        "market",
        "last_price",
        "heard",
        "traded_at",
        "best",
        "close",
        "band",
    )
    list_filter = ("market", "instrument__segment")
    list_select_related = ("instrument",)
    search_fields = ("instrument__symbol", "instrument__security_id__exact")
    ordering = ("-as_of",)

    @admin.display(description="heard", ordering="as_of")
    def heard(self, quote: Quote) -> str:
        """How long ago."""
        return "in the future" if quote.age is None else f"{quote.age:.1f} s ago"

    @admin.display(description="bid / ask")
    def best(self, quote: Quote) -> str:
        """The best level of each side, however old."""
        sides = (levels(quote.bids), levels(quote.asks))
        return " / ".join(f"{side[0].price:f}" if side else "–" for side in sides)

    @admin.display(description="band today")
    def band(self, quote: Quote) -> str:
        """The day's lowest and highest price, where today's are known."""
        return " to ".join("–" if limit is None else f"{limit:f}" for limit in quote.circuits)


@admin.register(MarginEstimate)
class MarginEstimateAdmin(HistoryAdmin):
    """What the broker's margin calculator answered."""

    list_display = ("as_of", "account", "asked", "required", "available")
    list_filter = ("account",)
    list_select_related = ("account",)


@admin.register(WireCall)
class WireCallAdmin(ModelAdmin):  # type: ignore[misc]
    """What was said to brokers and what they answered. A history: nothing can be changed."""

    list_display = (
        "created_at",
        "account",
        "verb",
        "what",
        "correlation_id",
        "outcome",
        "http_status",
        "took",
    )
    list_filter = ("account", "verb", "outcome", "budget")
    search_fields = ("correlation_id__exact", "broker_order_id__exact")
    search_help_text = "Correlation id or broker's order id, in full."
    list_select_related = ("account",)
    list_per_page = 50
    ordering = ("-id",)
    show_full_result_count = False
    paginator = CappedPaginator

    @admin.display(description="took")
    def took(self, call: WireCall) -> str:
        """From the first byte out to the answer."""
        duration = call.duration
        return "–" if duration is None else f"{duration.total_seconds() * 1000:.0f} ms"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are written by calls."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: WireCall | None = None) -> bool:
        """A history does not change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: WireCall | None = None) -> bool:
        """A history does not shrink."""
        return False
