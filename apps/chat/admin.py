"""Who may talk to the desk over Telegram, and what was said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import ForeignKey
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from apps.alerts.history import HistoryAdmin
from apps.chat.models import OUTCOME_TONES, TelegramCommand, TelegramUser
from apps.people import audit

if TYPE_CHECKING:
    _TelegramUserForm = forms.ModelForm[TelegramUser]
else:
    _TelegramUserForm = forms.ModelForm


class TelegramUserForm(_TelegramUserForm):
    """A link between two names of one person."""

    class Meta:
        model = TelegramUser
        fields = ("user", "telegram_id", "chat_id", "enabled")

    def clean_telegram_id(self) -> int:
        """People have positive numbers; groups have negative ones."""
        number = int(self.cleaned_data["telegram_id"])
        if not 0 < number < 2**52:
            raise forms.ValidationError("A person's number is positive, for example 123456789.")
        return number

    def clean(self) -> dict[str, Any]:
        """An empty chat is the private one, which has the person's own number."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("chat_id") is None and "chat_id" not in self.errors:
            cleaned["chat_id"] = cleaned.get("telegram_id")
        return cleaned


@admin.register(TelegramUser)
class TelegramUserAdmin(ModelAdmin):  # type: ignore[misc]
    """Links. Whoever has one may do over Telegram what their role allows, and nothing more."""

    form = TelegramUserForm
    actions = None
    list_display = ("user", "telegram_id", "chat_id", "enabled", "created_at")
    list_filter = ("enabled",)
    list_select_related = ("user",)

    def formfield_for_foreignkey(
        self,
        db_field: ForeignKey[Any, Any],
        request: HttpRequest,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Only people of the desk can be linked."""
        if db_field.name == "user":
            kwargs["queryset"] = User.objects.filter(is_active=True, is_staff=True)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(
        self, request: HttpRequest, obj: TelegramUser, form: TelegramUserForm, change: bool
    ) -> None:
        """A link is a way in: it is written down like every other change about a person."""
        before = TelegramUser.objects.get(pk=obj.pk) if change else None
        super().save_model(request, obj, form, change)
        if before is not None and before.user_id != obj.user_id:
            _record(request, before, "Telegram unlinked", before, None)
        _record(request, obj, "Telegram linked", before, obj)

    def delete_model(self, request: HttpRequest, obj: TelegramUser) -> None:
        """Recorded as well."""
        _record(request, obj, "Telegram unlinked", obj, None)
        super().delete_model(request, obj)


def _record(
    request: HttpRequest,
    of: TelegramUser,
    what: str,
    before: TelegramUser | None,
    after: TelegramUser | None,
) -> None:
    by = User.objects.get(username=request.user.get_username())
    old, new = (_facts(row) if row else {} for row in (before, after))
    audit.record(of.user, by=by, what=what, before=old, after=new)


def _facts(link: TelegramUser) -> dict[str, Any]:
    return {name: getattr(link, name) for name in ("telegram_id", "chat_id", "enabled")}


@admin.register(TelegramCommand)
class TelegramCommandAdmin(HistoryAdmin):
    """Every command: who, what, when, what became of it, and whether the answer got through."""

    list_display = (
        "heard_at",
        "who",
        "text",
        "result",
        "answer",
        "sent_at",
        "told_at",
        "not_told",
    )
    list_display_links = ("text",)
    list_filter = ("outcome", "user")
    list_select_related = ("user",)
    search_fields = ("text", "telegram_id__exact")

    @admin.display(description="who")
    def who(self, command: TelegramCommand) -> str:
        """The person of the desk, or the stranger's number and name."""
        return str(command.user or f"{command.telegram_id} ({command.said_name})")

    @admin.display(description="outcome", ordering="outcome")
    def result(self, command: TelegramCommand) -> SafeString:
        """What became of it, in its colour."""
        tone = OUTCOME_TONES[command.outcome]
        label = command.get_outcome_display() or "Heard"
        return format_html('<span class="desk-status desk-tone-{}">{}</span>', tone, label)
