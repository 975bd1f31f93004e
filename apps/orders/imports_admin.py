"""Brackets, and what was imported from another system, for looking things up."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from apps.alerts.history import HistoryAdmin
from apps.orders import words
from apps.orders.legacy.report import in_csv
from apps.orders.models import Bracket, BracketLeg, ImportedRow, LeftOut, LegacyImport
from apps.people.typed import row_number

WHATS = ("read", "carried", "known", "left_out")


@admin.register(Bracket)
class BracketAdmin(HistoryAdmin):
    """Every bracket, another system's included."""

    list_display = (
        "created_at",
        "account",
        "instrument",
        "side",
        "quantity",
        "entry",
        "target",
        "stop",
        "style",
        "status",
        "strategy",
        "source",
    )
    list_filter = ("account", "status", "style", "source")
    list_select_related = ("account", "instrument")
    search_fields = ("parent_broker_id__exact", "instrument__symbol", "strategy__exact")
    search_help_text = "The broker's id or a strategy in full, or part of a symbol."
    raw_id_fields = ("instrument", "origin")

    @admin.display(description="entry", ordering="entry_price")
    def entry(self, bracket: Bracket) -> str:
        """The entry's limit; none at the market."""
        return words.rupees(bracket.entry_price)

    @admin.display(description="target", ordering="target_price")
    def target(self, bracket: Bracket) -> str:
        """The target's limit."""
        return words.rupees(bracket.target_price)

    @admin.display(description="stop", ordering="stop_price")
    def stop(self, bracket: Bracket) -> str:
        """Where the stop triggers."""
        return words.rupees(bracket.stop_price)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        """The page of a bracket of ours; another system's as it was."""
        number = row_number(object_id)
        if number is not None and Bracket.objects.filter(pk=number, origin=None).exists():
            return HttpResponseRedirect(reverse("desk:bracket", args=[number]))
        shown: HttpResponse = super().change_view(request, object_id, form_url, extra_context)
        return shown


@admin.register(BracketLeg)
class BracketLegAdmin(HistoryAdmin):
    """Every leg, from the moment its bracket was accepted."""

    list_display = (
        "created_at",
        "account",
        "bracket",
        "leg",
        "leg_order_id",
        "quantity",
        "filled_quantity",
        "at",
        "triggers",
        "status",
        "order",
    )
    list_filter = ("account", "leg", "status")
    list_select_related = ("account", "bracket__instrument", "order__instrument")
    search_fields = ("leg_order_id__exact", "order__correlation_id__exact")
    search_help_text = "The broker's id of the leg, or its order's correlation id, in full."
    raw_id_fields = ("bracket", "order", "origin")

    @admin.display(description="price", ordering="price")
    def at(self, leg: BracketLeg) -> str:
        """The limit price."""
        return words.rupees(leg.price)

    @admin.display(description="trigger", ordering="trigger_price")
    def triggers(self, leg: BracketLeg) -> str:
        """Where it triggers."""
        return words.rupees(leg.trigger_price)


@admin.register(LegacyImport)
class LegacyImportAdmin(HistoryAdmin):
    """Files that ``migrate_bo_schema`` brought in: when, by whom, with what result."""

    list_display = (
        "at",
        "path",
        "version",
        "actor",
        "read",
        "carried",
        "known",
        "left",
        "rolled_back_at",
        "report",
    )
    search_fields = ("path", "sha256__startswith", "actor")
    search_help_text = "Part of the file's name, or the beginning of its SHA-256."
    fields = (
        "at",
        "path",
        "sha256",
        "beside",
        "size",
        "version",
        "accounts",
        "actor",
        "tables",
        "said",
        "report",
        "seconds",
        "rolled_back_at",
        "rolled_back_by",
    )
    readonly_fields = ("tables", "said", "report")

    @admin.display(description="read")
    def read(self, row: LegacyImport) -> str:
        """Rows of all its tables."""
        return words.grouped(row.total("read"))

    @admin.display(description="carried")
    def carried(self, row: LegacyImport) -> str:
        """Rows that are in the desk because of it."""
        return words.grouped(row.total("carried"))

    @admin.display(description="known already")
    def known(self, row: LegacyImport) -> str:
        """Rows that were in the desk before."""
        return words.grouped(row.total("known"))

    @admin.display(description="left out")
    def left(self, row: LegacyImport) -> str:
        """Rows that stayed behind."""
        return words.grouped(row.total("left_out"))

    @admin.display(description="tables")
    def tables(self, row: LegacyImport) -> SafeString:
        """What became of the rows of each table."""
        head = format_html_join("", '<th scope="col">{}</th>', [(what,) for what in _TITLES])
        body = format_html_join(
            "",
            '<tr><th scope="row">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>',
            ((name, *(count[what] for what in WHATS)) for name, count in row.counts.items()),
        )
        return format_html(
            '<div class="desk-scroll"><table class="desk-table desk-plain"><thead><tr>{}</tr>'
            "</thead><tbody>{}</tbody></table></div>",
            head,
            body,
        )

    @admin.display(description="notes")
    def said(self, row: LegacyImport) -> SafeString:
        """What was noticed of the file."""
        return format_html_join("", "<p>{}</p>", [(note,) for note in row.notes]) or SafeString("–")

    @admin.display(description="report")
    def report(self, row: LegacyImport) -> SafeString:
        """All counts and every row that stayed behind."""
        address = reverse("admin:orders_legacyimport_report", args=[row.pk])
        return format_html('<a href="{}" download>Report as CSV</a>', address)

    def get_urls(self) -> list[URLPattern]:
        """The pages of the admin, and the report."""
        view = self.admin_site.admin_view(require_safe(self.report_view))
        own = path("<int:pk>/report.csv", view, name="orders_legacyimport_report")
        return [own, *super().get_urls()]

    def report_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """The report, row by row, however long it is."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = get_object_or_404(LegacyImport, pk=pk)
        answer = StreamingHttpResponse(_report_of(row), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="import-{row.pk}.csv"'
        return answer


_TITLES = ("Table", "Read", "Carried", "Known already", "Left out")


def _report_of(row: LegacyImport) -> Iterator[str]:
    counts = [
        ("count", table, "", "", *(count[what] for what in WHATS))
        for table, count in row.counts.items()
    ]
    yield in_csv([*counts, *(("note", "", "", note) for note in row.notes)])
    for left in row.left_out.iterator(2000):
        line = in_csv([("left out", left.table, left.legacy_id, left.reason)])
        yield line.split("\r\n", 1)[1]


@admin.register(ImportedRow)
class ImportedRowAdmin(HistoryAdmin):
    """Rows of those files as they stood there."""

    list_display = ("table", "legacy_id", "account", "word", "outcome", "about", "brought_by")
    list_filter = ("account", "table", "outcome")
    list_select_related = ("account", "about__instrument", "brought_by")
    search_fields = (
        "legacy_id__exact",
        "correlation_id__exact",
        "about__broker_order_id__exact",
        "about__correlation_id__exact",
    )
    search_help_text = "An id of the other system, or an order's correlation or broker id, in full."
    raw_id_fields = ("about", "brought_by")


@admin.register(LeftOut)
class LeftOutAdmin(HistoryAdmin):
    """Rows of those files that stayed behind, and why."""

    list_display = ("table", "legacy_id", "reason", "left_by")
    list_filter = ("table",)
    list_select_related = ("left_by",)
    search_fields = ("legacy_id__exact", "reason")
    raw_id_fields = ("left_by",)
