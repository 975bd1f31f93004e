"""People in the admin: who may sign in, with which role; and who tried."""

from __future__ import annotations

from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm

from apps.alerts.history import HistoryAdmin
from apps.people import audit, entry, roles
from apps.people.forms import NewPersonForm, PersonForm, SignInForm
from apps.people.models import PersonChange

admin.site.login_form = SignInForm
admin.site.unregister(User)
admin.site.unregister(Group)
for _device in (TOTPDevice, StaticDevice):  # their pages would show keys
    if admin.site.is_registered(_device):
        admin.site.unregister(_device)

_NAME = ("username", "first_name", "last_name", "email")
_RIGHTS = ("role", "is_active", "is_superuser")


@admin.register(User)
class PersonAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]
    """Who may sign in. Nobody changes their own rights, and only superusers change superusers."""

    form = PersonForm
    add_form = NewPersonForm
    change_password_form = AdminPasswordChangeForm
    actions = None
    list_display = ("username", "role", "factor", "is_active", "is_superuser", "last_login")
    list_filter = ("groups", "is_active", "is_superuser")
    fieldsets = (
        (None, {"fields": (*_NAME, "password")}),
        ("Rights", {"fields": _RIGHTS}),
        ("Second factor", {"fields": ("second_factor", "last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "usable_password", "password1", "password2", "role")}),
    )
    filter_horizontal = ()

    @admin.display(description="role")
    def role(self, user: User) -> str:
        """The person's role."""
        return roles.role_of(user) or ("superuser" if user.is_superuser else "none")

    @admin.display(description="second factor", boolean=True)
    def factor(self, user: User) -> bool:
        """Whether it is set up."""
        return entry.has_device(user)

    @admin.display(description="state")
    def second_factor(self, user: User) -> SafeString | str:
        """Set up or not, and the way to take it away from somebody who lost their phone."""
        if not entry.has_device(user):
            return "not set up"
        address = reverse("people:take_away", args=[user.pk])
        return format_html('set up. <a class="underline" href="{}">Take it away…</a>', address)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ANN401
        """One's own rights, and for all but superusers the superuser's flag."""
        shown: tuple[str, ...] = ("second_factor", "last_login", "date_joined")
        if request.user.is_superuser:
            return shown
        own = _RIGHTS if obj is not None and obj.pk == request.user.pk else ("is_superuser",)
        return (*shown, *own)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        """Only superusers touch superusers: their password would be their rights."""
        above = obj is not None and obj.is_superuser and not request.user.is_superuser
        return not above and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ANN401
        """What a person did stays theirs: make them inactive instead."""
        return False

    def user_change_password(
        self,
        request: HttpRequest,
        id: str,  # noqa: A002 - Django's own name
        form_url: str = "",
    ) -> HttpResponse:
        """Recorded, though never with the password."""
        answer: HttpResponse = super().user_change_password(request, id, form_url)
        if request.method == "POST" and answer.status_code == 302:
            audit.record(User.objects.get(pk=id), by=_me(request), what="password set")
        return answer

    def save_model(
        self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool
    ) -> None:
        """Everybody with a role or more is staff. What was before is kept for the record."""
        before = User.objects.filter(pk=obj.pk).first() if change else None
        form.before = audit.facts_of(before) if before else {}  # type: ignore[attr-defined]
        role = form.cleaned_data.get("role", roles.role_of(obj) if change else "")
        obj.is_staff = bool(role) or obj.is_superuser
        super().save_model(request, obj, form, change)

    def save_related(
        self,
        request: HttpRequest,
        form: ModelForm[User],
        formsets: Any,  # noqa: ANN401
        change: bool,
    ) -> None:
        """Give the role, and write down what changed."""
        super().save_related(request, form, formsets, change)
        if "role" in form.cleaned_data:
            roles.give(form.instance, form.cleaned_data["role"])
        audit.record_difference(form.instance, _me(request), form.before)  # type: ignore[attr-defined]


def _me(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


@admin.register(Group)
class RoleAdmin(HistoryAdmin):
    """What roles may do; they are written in the code and follow every migration."""

    ordering = ("name",)
    search_fields = ("name",)


@admin.register(PersonChange)
class PersonChangeAdmin(HistoryAdmin):
    """Who changed whom."""

    list_display = ("at", "person", "what", "by", "before", "after", "reason")
    list_filter = ("what",)
    list_select_related = ("person", "by")


@admin.register(AccessAttempt)
class AccessAttemptAdmin(HistoryAdmin):
    """Wrong passwords that count towards a lock-out."""

    list_display = ("attempt_time", "username", "ip_address", "failures_since_start", "user_agent")
    search_fields = ("username__exact", "ip_address__exact")
    fields = ("attempt_time", "username", "ip_address", "user_agent", "failures_since_start")


@admin.register(AccessFailureLog)
class AccessFailureAdmin(HistoryAdmin):
    """Every wrong password."""

    list_display = ("attempt_time", "username", "ip_address", "locked_out", "user_agent")
    list_filter = ("locked_out",)
    search_fields = ("username__exact", "ip_address__exact")


@admin.register(AccessLog)
class AccessLogAdmin(HistoryAdmin):
    """Every sign-in."""

    list_display = ("attempt_time", "logout_time", "username", "ip_address", "user_agent")
    search_fields = ("username__exact", "ip_address__exact")
    fields = ("attempt_time", "logout_time", "username", "ip_address", "user_agent")
