"""Accounts, instruments and the journal in the admin. Tokens go in here and never come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSplitDateTimeWidget

from apps.alerts.history import HistoryAdmin
from apps.brokers import calendar_admin, session_pages
from apps.brokers.accounts import check_nobody_asks, check_token, put_token
from apps.brokers.importing import Wish, ring_import, under_way
from apps.brokers.models import (
    AccessToken,
    BrokerAccount,
    Instrument,
    InstrumentImport,
    MarginEstimate,
    Quote,
    WireCall,
)
from apps.brokers.models.quotes import levels
from apps.brokers.pages import CappedPaginator
from apps.brokers.searching import search
from apps.brokers.usage import usage

if TYPE_CHECKING:
    _AccountForm = forms.ModelForm[BrokerAccount]
else:
    _AccountForm = forms.ModelForm

__all__ = ["calendar_admin"]  # registered by being imported
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
        fields = (
            "name",
            *IDENTITY,
            "market_feed_url",
            "stamp_zone",
            "calendar",
            "bracket_style",
            "enabled",
            "armed_until",
        )

    def clean(self) -> dict[str, Any]:
        """A token is needed for an expiry, and must look like one."""
        cleaned = super().clean() or self.cleaned_data
        token, expires = cleaned.get("token"), cleaned.get("token_expires")
        if token:
            check_token(token, expires)
            if self.instance.pk:
                check_nobody_asks(self.instance)
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
        "calendar",
        "enabled",
        "armed_until",
        "token_state",
    )
    list_filter = ("broker", "calendar", "enabled")
    search_fields = ("name", "client_id")
    fieldsets = (
        (None, {"fields": ("name", *IDENTITY, "market_feed_url", "stamp_zone")}),
        ("Trading", {"fields": ("enabled", "calendar", "bracket_style", "armed_until")}),
        ("Session", {"fields": ("session_state",)}),
        ("Calls to the broker", {"fields": ("calls",)}),
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

    @admin.display(description="ready for entries?")
    def session_state(self, account: BrokerAccount) -> str:
        """What readiness says, and the way to the session's own page."""
        if account._state.adding:
            return "shown after saving"
        context = {"findings": session_pages.findings_of(account), "account": account}
        return render_to_string("brokers/session_state.html", context)

    @admin.display(description="rate budget")
    def calls(self, account: BrokerAccount) -> str:
        """How much of the broker's rate limits is used. Counted once: a page asks several times."""
        if account._state.adding:
            return "shown after saving"
        windows = vars(account).get("windows_shown") or usage(account)
        vars(account)["windows_shown"] = windows
        return render_to_string("brokers/calls.html", {"windows": windows})

    def get_urls(self) -> list[URLPattern]:
        """The session's pages before the admin's own."""
        return [*session_pages.urls(), *super().get_urls()]

    def get_readonly_fields(
        self, request: HttpRequest, obj: BrokerAccount | None = None
    ) -> tuple[str, ...]:
        """The identity of an account that has talked to its broker stays as it is."""
        used = obj is not None and obj.wire_calls.exists()
        return (*(IDENTITY if used else ()), "session_state", "calls")

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
            put_token(obj, form.cleaned_data["token"], form.cleaned_data.get("token_expires"))


class KindFilter(admin.SimpleListFilter):
    """The kinds of contract; asking 200,000 rows for them would take longer than the page."""

    title = "kind"
    parameter_name = "kind"
    KINDS = (
        "EQUITY",
        "INDEX",
        *(f"{what}{on}" for what in ("FUT", "OPT") for on in ("IDX", "STK", "CUR")),
        "FUTCOM",
        "OPTFUT",
    )

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        """One choice for each."""
        return [(kind, kind) for kind in self.KINDS]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Instrument]
    ) -> QuerySet[Instrument]:
        """The chosen one."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Instrument)
class InstrumentAdmin(ModelAdmin):  # type: ignore[misc]
    """What can be traded. The broker's file decides the facts; people decide ``blocked``."""

    list_display = (
        "symbol",
        "name",
        "segment",
        "security_id",
        "expiry",
        "lot_size",
        "tick_size",
        "freeze_quantity",
        "tradable",
        "why",
    )
    list_filter = (
        "segment",
        KindFilter,
        "tradable",
        "closed",
        "blocked",
        "bracket_orders",
        "cover_orders",
    )
    search_fields = ("symbol",)
    search_help_text = "NIFTY 24500 CE, NIFTY 25 NOV 24500 CE, BANKNIFTY FUT, a name, ISIN or id."
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator

    def get_queryset(self, request: HttpRequest) -> QuerySet[Instrument]:
        """Those too whose id names another contract now: orders point at them."""
        return Instrument.every.order_by("segment", "symbol")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Instrument], search_term: str
    ) -> tuple[QuerySet[Instrument], bool]:
        """As on the order form, but whatever can be traded or not."""
        return (search(queryset, search_term) if search_term.strip() else queryset), False

    @admin.display(description="why not")
    def why(self, instrument: Instrument) -> str:
        """What keeps it from trading."""
        return instrument.why_not

    def get_readonly_fields(
        self, request: HttpRequest, obj: Instrument | None = None
    ) -> tuple[str, ...]:
        """Everything but the switch, once the instrument is there."""
        decided = ("tradable", "closed", "retired_at", "updated_at")
        if obj is None:
            return decided
        names = tuple(field.name for field in Instrument._meta.fields if field.name != "id")
        return tuple(name for name in names if name != "blocked")

    def save_model(
        self,
        request: HttpRequest,
        obj: Instrument,
        form: Any,  # noqa: ANN401 - Django's own signature
        change: bool,
    ) -> None:
        """A new row as a whole; later the switch alone, for the file may be newer."""
        if change:
            obj.block(obj.blocked)
        else:
            obj.tradable = not obj.blocked
            super().save_model(request, obj, form, change)

    def has_change_permission(self, request: HttpRequest, obj: Instrument | None = None) -> bool:
        """A retired row stays what it was."""
        retired = obj is not None and obj.retired_at is not None
        return not retired and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Instrument | None = None) -> bool:
        """Orders keep pointing at their instrument: block it instead."""
        return False


@admin.register(InstrumentImport)
class InstrumentImportAdmin(HistoryAdmin):
    """Every reading of a master file. A history: nothing can be changed, a new one can be asked."""

    actions_list = ("now",)

    list_display = (
        "at",
        "source",
        "layout",
        "outcome",
        "rows",
        "added",
        "changed",
        "unchanged",
        "gone",
        "reused",
        "doubtful",
        "left_out",
        "took",
        "why",
    )
    list_filter = ("outcome", "broker", "layout")
    search_fields = ("source", "why", "sha256__startswith")
    ordering = ("-id",)

    def has_now_permission(self, request: HttpRequest) -> bool:
        """Who may switch instruments may have them read anew."""
        return bool(request.user.has_perm("brokers.change_instrument"))

    @action(  # type: ignore[untyped-decorator]
        description="Import now…", url_path="now", permissions=["now"], icon="download"
    )
    def now(self, request: HttpRequest) -> HttpResponse:
        """Ask first; the POST rings a worker."""
        if request.method != "POST":
            last = InstrumentImport.objects.first()
            frame = {**self.admin_site.each_context(request), "title": "Import instruments now"}
            context = {**frame, "opts": self.opts, "last": last, "under_way": under_way()}
            return TemplateResponse(request, "brokers/import_now.html", context)
        fewer = "even_if_fewer" in request.POST
        if ring_import(Wish(even_if_fewer=fewer, actor=request.user.get_username())):
            text = "A worker reads the broker's file now; what becomes of it appears here."
            messages.success(request, text)
        else:
            text = "The workers cannot be reached. Run manage.py import_instruments instead."
            messages.error(request, text)
        return redirect("admin:brokers_instrumentimport_changelist")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say when one is under way: it has no row yet."""
        if under_way():
            messages.info(request, "An import is under way; reload to see what became of it.")
        answer: HttpResponse = super().changelist_view(request, extra_context)
        return answer

    @admin.display(description="took")
    def took(self, row: InstrumentImport) -> str:
        """From the first byte to the commit."""
        return f"{row.seconds:.1f} s"


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
