"""Channels in the admin. An address goes in and never comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminPasswordWidget

from apps.alerts.addresses import EXAMPLES, what_is_wrong
from apps.alerts.apprise_line import STARTING
from apps.alerts.history import HistoryAdmin
from apps.alerts.models import Channel, Delivery, EscalationStep, Kind
from apps.alerts.secrets import Secret
from apps.alerts.testing import result_of, send_test

if TYPE_CHECKING:
    _ChannelForm = forms.ModelForm[Channel]
else:
    _ChannelForm = forms.ModelForm

RECENT = 20


class ChannelForm(_ChannelForm):
    """A channel, with a field that takes its address and shows none."""

    new_address = forms.CharField(
        label="Address",
        required=False,
        strip=True,
        max_length=2000,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=f"{EXAMPLES[Kind.TELEGRAM]}, or {EXAMPLES[Kind.EMAIL]}, or any address that "
        "apprise knows (https://appriseit.com). It is stored encrypted and never shown again; "
        "empty keeps the one that is stored.",
    )

    class Meta:
        model = Channel
        fields = (
            "name",
            "kind",
            "min_severity",
            "step",
            "enabled",
            "commands",
            "heartbeat_minutes",
            "reports",
        )

    def clean(self) -> dict[str, Any]:
        """An address must fit its kind; only Telegram takes commands."""
        cleaned = super().clean() or self.cleaned_data
        kind, written = cleaned.get("kind"), cleaned.get("new_address")
        if kind and (written or "kind" in self.changed_data):
            wrong = what_is_wrong(kind, written or self.instance.address)
            if wrong:
                self.add_error("new_address", wrong)
        if cleaned.get("commands") and kind != Kind.TELEGRAM:
            self.add_error("commands", "Only a Telegram bot can take commands.")
        return cleaned


@admin.register(Channel)
class ChannelAdmin(ModelAdmin):  # type: ignore[misc]
    """Where alerts go. Each shows how it does, its last messages, and a button to try it."""

    form = ChannelForm
    actions = None
    list_display = ("name", "kind", "min_severity", "step", "enabled", "condition", "last_heard")
    list_filter = ("kind", "enabled", "step")
    search_fields = ("name",)
    readonly_fields = ("condition", "last_heard")
    change_form_outer_after_template = "alerts/channel_after.html"
    fieldsets = (
        (None, {"fields": ("name", "kind", "new_address", "enabled")}),
        ("Alerts", {"fields": ("min_severity", "step")}),
        ("Routine", {"fields": ("heartbeat_minutes", "reports", "commands")}),
        ("How it does", {"fields": ("condition", "last_heard")}),
    )

    @admin.display(description="condition")
    def condition(self, channel: Channel) -> str:
        """Whether it delivers; the reason when it does not."""
        if channel.dead_since is not None:
            return f"dead since {_clock(channel.dead_since)}: {channel.last_error}"
        return f"failing: {channel.last_error}" if channel.failures else "well"

    @admin.display(description="last delivered", ordering="last_delivered_at")
    def last_heard(self, channel: Channel) -> str:
        """When a message last got through."""
        return _clock(channel.last_delivered_at) if channel.last_delivered_at else "never"

    def has_delete_permission(self, request: HttpRequest, obj: Channel | None = None) -> bool:
        """Only one that never said anything; disable the others."""
        unused = obj is not None and not obj.deliveries.exists()
        return unused and bool(super().has_delete_permission(request, obj))

    def save_model(
        self, request: HttpRequest, obj: Channel, form: ChannelForm, change: bool
    ) -> None:
        """Only what was changed, so that the delivery's own columns stay; then it may try anew."""
        columns = [name for name in form.changed_data if name != "new_address"]
        if form.cleaned_data.get("new_address"):
            obj.address = Secret(form.cleaned_data["new_address"])
            columns.append("address")
        obj.not_before = None
        obj.save(update_fields=[*columns, "not_before"] if change else None)

    def get_urls(self) -> list[URLPattern]:
        """The test's address before the admin's own."""
        view = self.admin_site.admin_view(require_POST(self.test_view))
        own = path("<int:pk>/test/", view, name="alerts_channel_test")
        return [own, *super().get_urls()]

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send a test message and say what became of it."""
        if not self.has_test_permission(request):
            raise PermissionDenied
        channel = get_object_or_404(Channel, pk=pk)
        self.log_change(request, channel, "Test message asked for.")
        delivery = send_test(channel, request.user.get_username())
        text = result_of(delivery, settings.ALERT_SEND_TIMEOUT + STARTING + 2)
        (messages.success if delivery.state == "DELIVERED" else messages.error)(request, text)
        return redirect("admin:alerts_channel_change", pk)

    def has_test_permission(self, request: HttpRequest) -> bool:
        """Who may try a channel."""
        return bool(request.user.has_perm("alerts.test_channel"))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """With the last messages and the test button."""
        number = int(object_id) if object_id.isascii() and object_id.isdigit() else 0
        recent = Delivery.objects.filter(channel=number).select_related("message")[:RECENT]
        context = {"recent": recent, "may_test": self.has_test_permission(request)}
        answer: HttpResponse = super().change_view(
            request, object_id, form_url, context | (extra_context or {})
        )
        return answer


@admin.register(EscalationStep)
class EscalationStepAdmin(ModelAdmin):  # type: ignore[misc]
    """How long a critical alert waits for somebody before more people hear of it."""

    list_display = ("number", "minutes", "who")
    ordering = ("number",)

    @admin.display(description="channels that hear it then")
    def who(self, step: EscalationStep) -> str:
        """Every enabled channel up to this step."""
        names = Channel.objects.filter(enabled=True, step__lte=step.number)
        return ", ".join(names.values_list("name", flat=True)) or "none"


@admin.register(Delivery)
class DeliveryAdmin(HistoryAdmin):
    """What was said on which channel, and what became of it."""

    list_display = ("created_at", "channel", "what", "state", "attempts", "error", "settled_at")
    list_filter = ("state", "channel", "message__purpose")
    list_select_related = ("message",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """With the names of the channels, without their addresses."""
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.prefetch_related("channel")

    @admin.display(description="message")
    def what(self, delivery: Delivery) -> str:
        """Why it was said, and its first words."""
        text = " ".join(delivery.message.text.split())[:120]
        return f"{delivery.message.get_purpose_display()}: {text}"


def _clock(at: Any) -> str:  # noqa: ANN401 - a time of the database
    return f"{timezone.localtime(at):%d %b %H:%M:%S}"
