"""Pages of an account's session inside the admin: readiness, new tokens, what a login takes.

Looking changes nothing; every step that asks the broker or stores something is a POST. The broker
sends a browser back by GET: that page only shows a button, which completes the login.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from apps.brokers import logins, readiness, tokens
from apps.brokers.models import (
    AccessToken,
    BrokerAccount,
    LoginCredentials,
    Verb,
    WireCall,
)

SEE, OBTAIN = "brokers.view_brokeraccount", "brokers.obtain_token"
STATE = "broker_login_state"  # in the session of the person who began a login in the browser
CALLS = 10
View = Callable[..., HttpResponse]


class LoginForm(forms.Form):
    """What a login takes. Fields show nothing of what is stored."""

    auth_url = forms.URLField(
        label="Address of the token service",
        required=False,
        assume_scheme="https",
        widget=UnfoldAdminTextInputWidget(),
        help_text="DhanHQ: https://auth.dhan.co",
    )
    pin = forms.CharField(label="PIN", required=False)
    totp_secret = forms.CharField(label="TOTP secret", required=False)
    app_id = forms.CharField(label="App id (API key)", required=False)
    app_secret = forms.CharField(label="App secret", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Django's own signature
        self.account: BrokerAccount = kwargs.pop("account")
        super().__init__(*args, **kwargs)
        stored = LoginCredentials.objects.filter(account=self.account).first()
        for name in logins.SECRETS:
            field = self.fields[name]
            field.widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
            there = stored is not None and bool(getattr(stored, name))
            field.help_text = (
                "Stored. Empty keeps it, - forgets it." if there else "Nothing is stored."
            )
        if stored is not None:
            self.fields["auth_url"].initial = stored.auth_url

    def clean(self) -> dict[str, Any]:
        """The fields together; nothing is stored yet."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            logins.check_login(self.account, cleaned["auth_url"], self.written())
        return cleaned

    def written(self) -> dict[str, str]:
        """The secrets as they were written."""
        return {name: self.cleaned_data.get(name, "") for name in logins.SECRETS}


def urls() -> list[URLPattern]:
    """Addresses below the accounts of the admin."""
    return [
        path("consent/", consent, name="brokers_brokeraccount_consent"),
        path("<int:pk>/session/", page, name="brokers_brokeraccount_session"),
        path("<int:pk>/session/ask/", ask, name="brokers_brokeraccount_ask"),
        path("<int:pk>/session/login/", login, name="brokers_brokeraccount_login"),
    ]


def _page(permission: str, *methods: str) -> Callable[[View], Callable[..., HttpResponseBase]]:
    """Staff only, with the permission, by these methods; the admin adds CSRF and no caching."""

    def decorate(view: View) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ANN401
            if not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        allowed = require_http_methods(list(methods))(guarded)

        @wraps(view)
        def entered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401
            return admin.site.admin_view(allowed)(request, *args, **kwargs)

        return entered

    return decorate


@_page(SEE, "GET")
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """What is known of the session, and the ways to a new token."""
    account = get_object_or_404(BrokerAccount, pk=pk)
    stored = LoginCredentials.objects.filter(account=account).first()
    token = AccessToken.objects.filter(account=account, retired_at=None).defer("value").first()
    return _show(
        request,
        "session",
        f"Session of {account}",
        account=account,
        token=token,
        findings=findings_of(account),
        login=stored,
        callback=request.build_absolute_uri(reverse("admin:brokers_brokeraccount_consent")),
        calls=WireCall.objects.filter(account=account, verb=Verb.TOKEN).order_by("-id")[:CALLS],
        may_ask=request.user.has_perm(OBTAIN),
    )


def findings_of(account: BrokerAccount) -> list[readiness.Finding]:
    """What readiness says; a broken list of checks is itself a finding."""
    try:
        return readiness.findings_of(account)
    except readiness.NoChecks as error:
        return [readiness.Finding(check="readiness", light=readiness.Light.RED, reason=str(error))]


@_page(OBTAIN, "POST")
def ask(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the broker for a new token in the way that was pressed."""
    account = get_object_or_404(BrokerAccount, pk=pk)
    way = request.POST.get("way", "")
    try:
        if way == "browser":
            page_there, state = logins.begin_consent(account, _user(request))
            request.session[STATE] = state
            return redirect(page_there)
        how = {"renew": tokens.renew, "login": tokens.log_in}[way]
        token = how(account, _user(request).get_username())
    except KeyError:
        messages.error(request, "way: must be renew, login or browser.")
    except (tokens.NotNow, tokens.NoToken) as why:
        messages.error(request, f"There is no new token: {why}.")
    else:
        _tell(request, token)
    return redirect("admin:brokers_brokeraccount_session", pk)


@_page(OBTAIN, "GET", "POST")
def consent(request: HttpRequest) -> HttpResponse:
    """Where the broker sends the browser back to: a button, and what pressing it came to."""
    state = str(request.session.get(STATE, ""))
    begun = logins.open_consent(state, _user(request)) if state else None
    token_id = (request.POST if request.method == "POST" else request.GET).get("tokenId", "")
    if begun is None or not token_id:
        return _show(request, "consent", "Login at the broker", minutes=logins.consent_minutes())
    if request.method != "POST":
        ends = timezone.localtime(begun.ends_at)
        return _show(
            request, "consent", "Login at the broker", begun=begun, token_id=token_id, ends=ends
        )
    request.session.pop(STATE, None)
    try:
        _tell(request, logins.finish_consent(begun, token_id))
    except (tokens.NotNow, tokens.NoToken) as why:
        messages.error(request, f"There is no new token: {why}.")
    return redirect("admin:brokers_brokeraccount_session", begun.account_id)


@_page("brokers.change_logincredentials", "GET", "POST")
def login(request: HttpRequest, pk: int) -> HttpResponse:
    """Write what a login takes. Nothing that is stored is ever shown."""
    account = get_object_or_404(BrokerAccount, pk=pk)
    form = LoginForm(request.POST or None, account=account)
    if request.method == "POST" and form.is_valid():
        logins.store_login(account, form.cleaned_data["auth_url"], form.written())
        LogEntry.objects.log_actions(
            _user(request).pk, [account], CHANGE, "What a login takes was written."
        )
        messages.success(request, "Stored, encrypted.")
        return redirect("admin:brokers_brokeraccount_session", pk)
    return _show(request, "login", f"Login of {account}", account=account, form=form)


def _tell(request: HttpRequest, token: AccessToken) -> None:
    until = f" until {timezone.localtime(token.expires_at):%d %b %H:%M}" if token.expires_at else ""
    messages.success(request, f"The new token is in force{until}.")


def _show(request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:  # noqa: ANN401
    frame = {**admin.site.each_context(request), "title": title, "opts": BrokerAccount._meta}
    return TemplateResponse(request, f"brokers/{template}.html", frame | context)


def _user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
