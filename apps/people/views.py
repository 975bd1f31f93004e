"""Pages of the second factor: set up, verify, take away from somebody who lost their phone."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from apps.people import entry, second_factor
from apps.people.forms import CodeForm, WhyForm

View = Callable[..., HttpResponse]


def _staff_page(view: View) -> Callable[..., HttpResponseBase]:
    """Staff only, with CSRF and without caching."""

    @wraps(view)
    def entered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401
        guarded = require_http_methods(["GET", "POST"])(view)
        return admin.site.admin_view(guarded)(request, *args, **kwargs)

    return entered


@_staff_page
def set_up(request: HttpRequest) -> HttpResponse:
    """Show the key, take a code that proves it was stored, then show the recovery codes once."""
    me = _me(request)
    if entry.has_device(me):
        left = second_factor.recovery_codes_left(me)
        return _show(request, "set_up", "Second factor", done=True, left=left)
    form = CodeForm(request.POST or None)
    if form.is_valid():
        codes = second_factor.confirm(request, me, form.cleaned_data["code"])
        if codes:
            return _show(request, "recovery_codes", "Recovery codes", codes=codes)
        form.add_error("code", "This code is not right. Wait for the next one and try again.")
    device = second_factor.pending(me)
    return _show(
        request,
        "set_up",
        "Second factor",
        form=form,
        picture=second_factor.picture_of(device),
        key=second_factor.key_of(device),
    )


@_staff_page
def verify(request: HttpRequest) -> HttpResponse:
    """Ask for a code; then on to the page that was wanted."""
    me = _me(request)
    if entry.step_of(me, request.session) is entry.Step.IN:
        return redirect(_wanted(request))
    form = CodeForm(request.POST or None)
    if form.is_valid():
        error = second_factor.verify(request, me, form.cleaned_data["code"])
        if not error:
            return redirect(_wanted(request))
        form.add_error("code", error)
    return _show(request, "verify", "Second factor", form=form, next=_wanted(request))


@_staff_page
def take_away(request: HttpRequest, pk: int) -> HttpResponse:
    """By an administrator, for somebody else, with a reason that is kept."""
    me, person = _me(request), get_object_or_404(User, pk=pk)
    above = person.is_superuser and not me.is_superuser
    if not me.has_perm("auth.change_user") or above or person.pk == me.pk:
        raise PermissionDenied
    form = WhyForm(request.POST or None)
    if form.is_valid():
        second_factor.take_away(person, me, form.cleaned_data["reason"])
        messages.success(request, f"{person} must set up a second factor anew.")
        return redirect("admin:auth_user_change", person.pk)
    return _show(request, "take_away", "Take a second factor away", form=form, person=person)


def _wanted(request: HttpRequest) -> str:
    """The page that was wanted, if it is one of ours."""
    address = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(
        address, {request.get_host()}, require_https=request.is_secure()
    )
    return address if ours else reverse("admin:index")


def _me(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def _show(request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:  # noqa: ANN401
    frame = admin.site.each_context(request)
    return TemplateResponse(
        request, f"people/{template}.html", {**frame, "title": title, **context}
    )
