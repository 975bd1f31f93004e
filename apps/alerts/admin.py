"""Alerts and signs of life in the admin. An alert can be acknowledged, never edited."""

from __future__ import annotations

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.alerts import acknowledging
from apps.alerts.history import HistoryAdmin
from apps.alerts.models import SEVERITY_TONES, Alert, Heartbeat, Severity


@admin.register(Alert)
class AlertAdmin(HistoryAdmin):
    """What people must know, the newest first."""

    actions = ("acknowledge",)
    list_before_template = "alerts/about_list.html"
    change_form_outer_before_template = "alerts/about_one.html"
    list_display = ("how_bad", "text", "times", "last_raised", "acknowledged_at", "acknowledged_by")
    list_display_links = ("text",)
    list_filter = ("severity", ("acknowledged_at", admin.EmptyFieldListFilter))
    list_select_related = ("acknowledged_by",)
    search_fields = ("text", "key")
    ordering = ("-last_raised",)

    @admin.display(description="severity", ordering="severity")
    def how_bad(self, alert: Alert) -> SafeString:
        """The severity in its colour."""
        tone = SEVERITY_TONES[Severity(alert.severity)]
        label = Severity(alert.severity).label
        return format_html('<span class="desk-status desk-tone-{}">{}</span>', tone, label)

    @admin.action(description="Acknowledge: I have seen these", permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        """Close the chosen alerts in this person's name; the first one to do so stays."""
        if not isinstance(request.user, User):
            raise PermissionDenied
        done = acknowledging.acknowledge(queryset, request.user)
        messages.success(request, f"{done} acknowledged.")

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        """Who may change alerts may acknowledge them."""
        return bool(request.user.has_perm(acknowledging.PERMISSION))


@admin.register(Heartbeat)
class HeartbeatAdmin(HistoryAdmin):
    """The last sign of life of every process."""

    list_display = ("name", "at", "seconds", "detail")
    ordering = ("name",)

    @admin.display(description="age")
    def seconds(self, heartbeat: Heartbeat) -> str:
        """How long ago."""
        return f"{heartbeat.age:.1f} s"
