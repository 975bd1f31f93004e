"""Alerts and signs of life in the admin. An alert can be acknowledged, never edited."""

from __future__ import annotations

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from apps.alerts.acknowledging import PERMISSION, acknowledge
from apps.alerts.history import HistoryAdmin
from apps.alerts.models import SEVERITY_TONES, Alert, Heartbeat, Severity


class AcknowledgeForm(forms.Form):
    """Whoever acknowledges may say what they do about it."""

    reason = forms.CharField(required=False, max_length=300)


@admin.register(Alert)
class AlertAdmin(HistoryAdmin):
    """What people must know, the newest first. One opens with who was told of it, and when."""

    actions = ("acknowledge",)
    list_before_template = "alerts/about_list.html"
    list_display = ("how_bad", "text", "times", "last_raised", "seen", "acknowledged_reason")
    list_display_links = ("text",)
    list_filter = ("severity", ("acknowledged_at", admin.EmptyFieldListFilter), "last_raised")
    list_select_related = ("acknowledged_by",)
    search_fields = ("text", "key")
    ordering = ("-last_raised",)

    @admin.display(description="severity", ordering="severity")
    def how_bad(self, alert: Alert) -> SafeString:
        """The severity in its colour."""
        tone = SEVERITY_TONES[Severity(alert.severity)]
        label = Severity(alert.severity).label
        return format_html('<span class="desk-status desk-tone-{}">{}</span>', tone, label)

    @admin.display(description="acknowledged", ordering="acknowledged_at")
    def seen(self, alert: Alert) -> SafeString | str:
        """Who has seen it; for an open one, the way to the button."""
        if not alert.open:
            return str(alert.acknowledged_by or "by itself")
        link = reverse("admin:alerts_alert_change", args=[alert.pk])
        return format_html('<a class="desk-button" href="{}">Acknowledge…</a>', link)

    @admin.action(description="Acknowledge: I have seen these", permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        """Close the chosen alerts in this person's name."""
        done = acknowledge(queryset.values_list("pk", flat=True), _me(request))
        messages.success(request, f"{done} acknowledged.")

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        """Who may change alerts may acknowledge them."""
        return bool(request.user.has_perm(PERMISSION))

    def get_urls(self) -> list[URLPattern]:
        """The button's address before the admin's own."""
        view = self.admin_site.admin_view(require_POST(self.acknowledge_view))
        own = path("<int:pk>/acknowledge/", view, name="alerts_alert_acknowledge")
        return [own, *super().get_urls()]

    def acknowledge_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The button on the alert's own page; a reason may be given."""
        if not self.has_acknowledge_permission(request):
            raise PermissionDenied
        alert, form = get_object_or_404(Alert, pk=pk), AcknowledgeForm(request.POST)
        if not form.is_valid():
            messages.error(request, f"Reason: {form.errors['reason'][0]}")
        elif acknowledge([alert.pk], _me(request), form.cleaned_data["reason"]):
            messages.success(request, "Acknowledged. Nobody else is woken for it.")
        else:
            messages.info(request, "It was acknowledged already.")
        return redirect("admin:alerts_alert_change", pk)

    def change_view(
        self, request: HttpRequest, object_id: str, *_: object, **__: object
    ) -> HttpResponse:
        """The alert, its button, and every delivery of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        number = int(object_id) if object_id.isascii() and object_id.isdigit() else 0
        alert = get_object_or_404(Alert.objects.select_related("acknowledged_by"), pk=number)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Alert {alert.pk}",
            "opts": self.opts,
            "alert": alert,
            "how_bad": self.how_bad(alert),
            "said": alert.messages.order_by("id").prefetch_related("deliveries__channel"),
            "may_acknowledge": alert.open and self.has_acknowledge_permission(request),
        }
        return TemplateResponse(request, "alerts/alert.html", context)


@admin.register(Heartbeat)
class HeartbeatAdmin(HistoryAdmin):
    """The last sign of life of every process."""

    list_display = ("name", "at", "seconds", "detail")
    ordering = ("name",)

    @admin.display(description="age")
    def seconds(self, heartbeat: Heartbeat) -> str:
        """How long ago."""
        return f"{heartbeat.age:.1f} s"


def _me(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
