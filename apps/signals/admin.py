"""Sources and signals in the admin. A secret is shown once, in the answer that makes it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from apps.alerts.history import HistoryAdmin
from apps.signals.models import FATE_TONES, Fate, Signal, SignalSource
from apps.signals.sources import LONGEST_OVERLAP, RotatedMeanwhile, open_source, rotate


class RotateForm(forms.Form):
    """How long the old secret still counts; ``seen`` makes the form count once."""

    overlap = forms.IntegerField(
        label="Hours during which the old secret still counts",
        min_value=0,
        max_value=LONGEST_OVERLAP,
        initial=24,
        help_text="0 if the old secret is in wrong hands: it stops at once.",
    )
    seen = forms.CharField(widget=forms.HiddenInput)

    def clean_seen(self) -> dt.datetime:
        """The time of the last rotation that this person was shown."""
        try:
            return dt.datetime.fromisoformat(self.cleaned_data["seen"])
        except ValueError:
            raise forms.ValidationError("Open this page again.") from None


@admin.register(SignalSource)
class SignalSourceAdmin(ModelAdmin):  # type: ignore[misc]
    """Who may send. Opening one and rotating its secret show the secret once, and never again."""

    actions = ("enable", "disable")
    list_display = ("name", "account", "strategy", "enabled", "test_mode", "window", "rotated_at")
    list_filter = ("enabled", "test_mode", "account")
    list_select_related = ("account",)
    search_fields = ("name", "strategy")
    fieldsets = (
        (None, {"fields": ("name", "enabled", "test_mode")}),
        ("Trading", {"fields": ("account", "others", "strategy", "entry_lifetime")}),
        ("Trust", {"fields": ("window", "profile", "address", "secrets")}),
    )

    def get_readonly_fields(
        self, request: HttpRequest, obj: SignalSource | None = None
    ) -> tuple[str, ...]:
        """The name is what alerts and orders remember."""
        fixed = ("profile", "address", "secrets")
        return fixed if obj is None else ("name", *fixed)

    @admin.display(description="address")
    def address(self, source: SignalSource) -> str:
        """Where its signals go."""
        return source.path if source.pk else "shown after saving"

    @admin.display(description="secret")
    def secrets(self, source: SignalSource) -> SafeString | str:
        """When it was made, and the way to a new one."""
        if not source.pk:
            return "shown once, after saving"
        link = reverse("admin:signals_signalsource_rotate", args=[source.pk])
        made = f"made {source.rotated_at:%d %b %Y}"
        return format_html('{}, never shown again. <a href="{}">Rotate…</a>', made, link)

    def has_delete_permission(self, request: HttpRequest, obj: SignalSource | None = None) -> bool:
        """Signals keep pointing at their source: disable it instead."""
        return False

    def save_model(
        self, request: HttpRequest, obj: SignalSource, form: forms.Form, change: bool
    ) -> None:
        """A new source gets its secret."""
        if change:
            super().save_model(request, obj, form, change)
        else:
            open_source(obj)

    def response_add(
        self, request: HttpRequest, obj: SignalSource, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The one page that shows the secret is this answer itself: it is kept nowhere else."""
        return self._reveal(request, obj, str(obj.secret))

    def get_urls(self) -> list[URLPattern]:
        """The rotation page before the admin's own."""
        view = self.admin_site.admin_view(self.rotate_view)
        own = path("<int:pk>/rotate/", view, name="signals_signalsource_rotate")
        return [own, *super().get_urls()]

    def rotate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask first; the POST makes the new secret and shows it."""
        if not request.user.has_perm("signals.rotate_secret"):
            raise PermissionDenied
        source = get_object_or_404(SignalSource, pk=pk)
        form = RotateForm(request.POST or None, initial={"seen": source.rotated_at.isoformat()})
        if request.method != "POST" or not form.is_valid():
            context = self._frame(request, f"Rotate the secret of {source}")
            return TemplateResponse(
                request, "signals/rotate.html", context | {"form": form, "source": source}
            )
        overlap = dt.timedelta(hours=form.cleaned_data["overlap"])
        try:
            secret = rotate(source.pk, overlap, form.cleaned_data["seen"])
        except RotatedMeanwhile:
            messages.error(request, "The secret was rotated meanwhile; this form did nothing.")
            return redirect("admin:signals_signalsource_change", source.pk)
        self.log_change(request, source, f"Secret rotated, the old one counts for {overlap}.")
        return self._reveal(request, source, str(secret))

    def _reveal(self, request: HttpRequest, source: SignalSource, secret: str) -> HttpResponse:
        context = self._frame(request, f"The secret of {source}")
        address = request.build_absolute_uri(source.path)
        return TemplateResponse(
            request,
            "signals/secret.html",
            context | {"source": source, "secret": secret, "address": address},
        )

    def _frame(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts}

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[SignalSource]) -> None:
        """Listen to the chosen sources again."""
        self._turn(request, queryset, enabled=True)

    @admin.action(description="Disable: nothing more is heard from these", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[SignalSource]) -> None:
        """Turn the chosen sources away. What was heard already goes on."""
        self._turn(request, queryset, enabled=False)

    def _turn(
        self, request: HttpRequest, queryset: QuerySet[SignalSource], *, enabled: bool
    ) -> None:
        word = "enabled" if enabled else "disabled"
        for source in queryset:
            self.log_change(request, source, f"{word.capitalize()}.")
        done = queryset.update(enabled=enabled)
        messages.success(request, f"{done} {word}.")


@admin.register(Signal)
class SignalAdmin(HistoryAdmin):
    """What was heard and what became of it; one opens on the desk with its timeline."""

    list_display = (
        "received_at",
        "source",
        "what",
        "account",
        "outcome",
        "reason",
        "its_order",
        "test",
        "sender_id",
    )
    list_filter = ("fate", "source", "account", "intent", "test", "received_at")
    list_select_related = ("source", "account", "order")
    search_fields = (
        "sender_id__exact",
        "order__correlation_id__exact",
        "wish__instrument__icontains",
        "wish__strategy__icontains",
    )
    search_help_text = "Sender's id or correlation id in full, part of an instrument or a strategy."

    @admin.display(description="asks for")
    def what(self, signal: Signal) -> str:
        """The wish in one line."""
        return signal.in_words

    @admin.display(description="fate", ordering="fate")
    def outcome(self, signal: Signal) -> SafeString:
        """What became of it, in its colour."""
        tone, label = FATE_TONES[Fate(signal.fate)], signal.get_fate_display()
        return format_html('<span class="desk-status desk-tone-{}">{}</span>', tone, label)

    @admin.display(description="order")
    def its_order(self, signal: Signal) -> SafeString | str:
        """The order that came of it."""
        if signal.order is None:
            return "–"
        link = reverse("admin:orders_order_change", args=[signal.order.pk])
        return format_html('<a href="{}">{}</a>', link, signal.order.correlation_id)

    def change_view(
        self, request: HttpRequest, object_id: str, *_: object, **__: object
    ) -> HttpResponseRedirect:
        """The signal's page on the desk."""
        return HttpResponseRedirect(reverse("desk:signal", args=[object_id]))
