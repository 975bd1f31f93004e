"""A page of the desk inside the admin: who may see it, and what surrounds it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from apps.orders.services import Actor

View = Callable[..., HttpResponseBase]


def desk_page(*permissions: str) -> Callable[[View], View]:
    """Staff only (others are sent to the login), and only with every named permission.

    The admin's own wrapper also enforces CSRF and forbids caching.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401
            if not request.user.has_perms(permissions):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        @wraps(view)
        def entered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401
            return admin.site.admin_view(guarded)(request, *args, **kwargs)

        return entered

    return decorate


def show(request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:  # noqa: ANN401
    """Render a desk page with the admin's frame around it."""
    frame = admin.site.each_context(request)
    return TemplateResponse(request, f"desk/{template}.html", {**frame, "title": title, **context})


def from_dialog(request: HttpRequest) -> bool:
    """True when a page's script asks, and shows the answer in the page that is open."""
    return not request.accepts("text/html")


def done(request: HttpRequest, text: str, where: str, *args: object) -> HttpResponse:
    """It is done: said in the dialog that asked, or on the page that comes next."""
    if from_dialog(request):
        return JsonResponse({"ok": True, "text": text})
    messages.success(request, text)
    return redirect(where, *args)


def refused(form: Form) -> JsonResponse:
    """Nothing was done: the dialog shows the form's errors."""
    return JsonResponse({"ok": False, "errors": form.errors.get_json_data()}, status=422)


def user_of(request: HttpRequest) -> User:
    """The signed-in person; ``desk_page`` has let nobody else in."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in person as the one who asks."""
    user = user_of(request)
    return Actor(name=user.get_username(), user=user)
