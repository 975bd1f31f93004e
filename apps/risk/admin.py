"""Risk in the admin. History is read-only; a limit changes by writing its next version."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from apps.alerts.history import HistoryAdmin
from apps.brokers.port import OrderType
from apps.people.typed import row_number
from apps.risk import widening
from apps.risk.approvals import NotAllowed, NotOpen
from apps.risk.models import Approval, Decision, Hold, RiskPolicy, StateChange, TradingState


class RiskPolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    """The next version of an account's limits."""

    order_types = forms.MultipleChoiceField(
        choices=[(word.value, word.value) for word in OrderType],
        widget=forms.CheckboxSelectMultiple,
        initial=[word.value for word in OrderType],
    )

    class Meta:
        model = RiskPolicy
        fields = (
            "account",
            "max_order_quantity",
            "max_order_value",
            "max_open_orders",
            "max_data_age",
            "approval_above_value",
            "order_types",
            "max_quote_age",
            "protection_percent",
            "stop_protection_percent",
            "price_band_percent",
            "check_margin",
            "refuse_unknown_margin",
            "on_outside_trade",
            "reason",
        )


@admin.register(RiskPolicy)
class RiskPolicyAdmin(ModelAdmin):  # type: ignore[misc]
    """Versions of limits: a new one can be added, an old one neither changed nor removed."""

    form = RiskPolicyForm
    actions = None
    list_display = (
        "account",
        "version",
        "max_order_quantity",
        "max_order_value",
        "max_open_orders",
        "max_data_age",
        "approval_above_value",
        "protection_percent",
        "price_band_percent",
        "check_margin",
        "reason",
        "created_by",
        "created_at",
    )
    list_filter = ("account",)
    list_select_related = ("account",)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Start from the limits in force when the address names an account."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        asked = row_number(str(initial.get("account", "")))
        current = None if asked is None else RiskPolicy.objects.filter(account=asked).first()
        if current is not None:
            names = [name for name in RiskPolicyForm.Meta.fields if name != "reason"]
            initial |= {name: getattr(current, name) for name in names if name != "account"}
        return initial

    def has_change_permission(self, request: HttpRequest, obj: RiskPolicy | None = None) -> bool:
        """Write the next version instead."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: RiskPolicy | None = None) -> bool:
        """Decisions were made under it."""
        return False

    def save_model(
        self, request: HttpRequest, obj: RiskPolicy, form: RiskPolicyForm, change: bool
    ) -> None:
        """Tighter limits are in force at once; wider ones wait for a second person."""
        try:
            widening.write(obj, User.objects.get(username=request.user.get_username()))
        except (NotAllowed, NotOpen) as error:
            messages.error(request, f"Not asked for: {error}.")

    def log_addition(self, request: HttpRequest, obj: RiskPolicy, message: Any) -> Any:  # noqa: ANN401
        """Only what was stored was added."""
        return super().log_addition(request, obj, message) if obj.pk else None

    def response_add(
        self, request: HttpRequest, obj: RiskPolicy, post_url_continue: str | None = None
    ) -> HttpResponse:
        """To the list, or to the approvals when somebody else must agree first."""
        if obj.pk:
            answer: HttpResponse = super().response_add(request, obj, post_url_continue)
            return answer
        messages.info(request, "Nothing is in force yet: wider limits need a second person.")
        return HttpResponseRedirect(reverse("desk:approvals"))


@admin.register(Decision)
class DecisionAdmin(HistoryAdmin):
    """What the gate decided, and everything it knew."""

    list_display = ("decided_at", "account", "action", "verdict", "correlation_id", "why")
    list_filter = ("account", "allowed", "action")
    list_select_related = ("account",)
    search_fields = ("correlation_id__exact",)

    @admin.display(description="verdict", ordering="allowed")
    def verdict(self, decision: Decision) -> SafeString:
        """Yes or no, in its colour."""
        tone, word = ("good", "Allowed") if decision.allowed else ("bad", "Refused")
        return format_html('<span class="desk-status desk-tone-{}">{}</span>', tone, word)

    @admin.display(description="refusals")
    def why(self, decision: Decision) -> str:
        """All refusals in one line."""
        return decision.reasons or "–"


@admin.register(Approval)
class ApprovalAdmin(HistoryAdmin):
    """What one person asked for and another decided; waiting ones are on the desk's own page."""

    list_display = (
        "requested_at",
        "kind",
        "subject",
        "requested_by",
        "reason",
        "decision",
        "decided_by",
        "decision_reason",
        "result",
    )
    list_filter = ("kind", "decision")
    list_select_related = ("requested_by", "decided_by")
    search_fields = ("subject__exact",)


@admin.register(StateChange)
class StateChangeAdmin(HistoryAdmin):
    """Who turned which switch, and why."""

    list_display = ("at", "scope", "before", "after", "reason", "actor")
    list_filter = ("scope", "after")


@admin.register(TradingState)
class TradingStateAdmin(HistoryAdmin):
    """The switches; they are turned on the desk's own page."""

    list_display = ("scope", "switch", "reason", "changed_at")
    ordering = ("scope",)

    def change_view(
        self, request: HttpRequest, object_id: str, *_: object, **__: object
    ) -> HttpResponseRedirect:
        """The page where switches are turned."""
        return HttpResponseRedirect(reverse("desk:switches"))


@admin.register(Hold)
class HoldAdmin(HistoryAdmin):
    """What orders may still do to an account."""

    list_display = (
        "taken_at",
        "account",
        "correlation_id",
        "side",
        "quantity",
        "filled",
        "value",
        "released_at",
    )
    list_filter = ("account", ("released_at", admin.EmptyFieldListFilter))
    list_select_related = ("account",)
    search_fields = ("correlation_id__exact",)
