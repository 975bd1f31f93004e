"""Forms about people."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget

from apps.people import roles

ROLE_CHOICES = [("", "No role: sees nothing"), *((role, role.capitalize()) for role in roles.ROLES)]


class SignInForm(AuthenticationForm):  # type: ignore[misc]
    """Name and password; which of them was wrong is nobody's business."""

    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": "Wrong name or password. After ten wrong ones the name is locked for a"
        " while.",
    }


def _role() -> forms.ChoiceField:
    return forms.ChoiceField(choices=ROLE_CHOICES, required=False, widget=UnfoldAdminSelectWidget)


class PersonForm(UserChangeForm):  # type: ignore[misc]
    """A person with one role."""

    role = _role()

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        if "role" in self.fields and self.instance.pk:
            self.fields["role"].initial = roles.role_of(self.instance)

    def clean(self) -> dict[str, Any]:
        """There is always somebody who can mend everything."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        was = User.objects.filter(pk=self.instance.pk, is_superuser=True, is_active=True)
        stays = all(cleaned.get(name, True) for name in ("is_superuser", "is_active"))
        if was.exists() and not stays and is_last_superuser(self.instance):
            raise ValidationError("This is the last superuser: make another one first.")
        return cleaned


class NewPersonForm(UserCreationForm):  # type: ignore[misc]
    """A new person: name, password, role."""

    role = _role()


class CodeForm(forms.Form):
    """Six digits, or a recovery code."""

    code = forms.CharField(
        max_length=40,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "inputmode": "text"}
        ),
    )


class WhyForm(forms.Form):
    """Why."""

    reason = forms.CharField(max_length=300)


def is_last_superuser(user: User) -> bool:
    """True when nobody else could mend everything. Locks them all, so that two cannot both go."""
    others = User.objects.select_for_update().filter(is_superuser=True, is_active=True)
    return user.pk is not None and {other.pk for other in others} <= {user.pk}
