"""One door for every page: signed in, not timed out, second factor passed."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect

from apps.people import entry
from apps.people.entry import Step

# Nothing else opens before the last step. Requests without a person are the views' own affair.
ALWAYS = frozenset({"admin:login", "admin:logout", "desk:healthz"})
ON_THE_WAY = {
    Step.SET_UP: frozenset({"people:set_up"}),
    Step.VERIFY: frozenset({"people:verify"}),
}
WORDS = {Step.SET_UP: "Set up your second factor.", Step.VERIFY: "Enter your second factor."}
BY_ITSELF = "X-Asked-By-Itself"


class EntryMiddleware:
    """Ends sessions that are over, and sends everybody else one step further."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """End or touch the session before anything looks at it."""
        if request.user.is_authenticated:
            if entry.timed_out(request.session):
                logout(request)
                messages.info(request, "You were signed out: too long without activity.")
            elif BY_ITSELF not in request.headers:
                entry.touch(request.session)
        return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: object,
        args: object,
        kwargs: object,
    ) -> HttpResponse | None:
        """Let through who has come all the way, and what leads there."""
        match = request.resolver_match
        name = match.view_name if match else ""
        if not request.user.is_authenticated or name in ALWAYS:
            return None
        step = entry.step_of(request.user, request.session)
        if step is Step.IN or name in ON_THE_WAY.get(step, ()):
            return None
        return _onwards(request, step)


def _onwards(request: HttpRequest, step: Step) -> HttpResponse:
    if not request.accepts("text/html"):
        return JsonResponse({"ok": False, "text": WORDS.get(step, "Sign in.")}, status=403)
    if step is Step.SIGN_IN:
        logout(request)
        return redirect(settings.LOGIN_URL)
    wanted = request.get_full_path() if request.method == "GET" else ""
    query = f"?{urlencode({'next': wanted})}" if wanted else ""
    where = redirect("people:set_up" if step is Step.SET_UP else "people:verify")
    where["Location"] += query
    return where
