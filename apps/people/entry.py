"""How far a signed-in person has come: the one answer for pages and sockets.

A session knows when it began and when a person last did something. Pages count as doing
something; a socket, and a page that asks by itself, do not.
"""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from enum import Enum
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django_otp import DEVICE_ID_SESSION_KEY
from django_otp.models import Device
from django_otp.plugins.otp_totp.models import TOTPDevice

BEGAN, SEEN = "entry_began", "entry_seen"
TOUCH_EVERY = 10.0  # seconds; not every request writes the session

Session = MutableMapping[str, Any]


class Step(Enum):
    """What is next for a person."""

    SIGN_IN = "sign in"
    SET_UP = "set up"
    VERIFY = "verify"
    IN = "in"


def step_of(user: User | AnonymousUser, session: Session) -> Step:
    """Where this person stands. Whatever is not ``IN`` opens nothing."""
    if not isinstance(user, User) or not user.is_active or timed_out(session):
        return Step.SIGN_IN
    if _passed(user, session):
        return Step.IN
    if has_device(user):
        return Step.VERIFY
    return Step.SET_UP if settings.REQUIRE_SECOND_FACTOR else Step.IN


def has_device(user: User) -> bool:
    """True once the person has set up a second factor."""
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


def timed_out(session: Session) -> bool:
    """True when the session is too old, or nobody did anything for too long."""
    now = time.time()
    began, seen = session.get(BEGAN), session.get(SEEN)
    if began is None or seen is None:
        return True
    return bool(
        now - began > settings.SESSION_HOURS * 3600
        or now - seen > settings.SESSION_IDLE_MINUTES * 60
    )


def touch(session: Session) -> None:
    """The person did something."""
    if time.time() - session.get(SEEN, 0) > TOUCH_EVERY:
        session[SEEN] = time.time()


def on_sign_in(request: HttpRequest, **_: Any) -> None:  # noqa: ANN401 - Django's own signature
    """A session begins with its sign-in."""
    request.session[BEGAN] = request.session[SEEN] = time.time()


def _passed(user: User, session: Session) -> bool:
    """The device that this session was verified with is still there and still theirs."""
    named = session.get(DEVICE_ID_SESSION_KEY)
    device = Device.from_persistent_id(named) if named else None
    return device is not None and device.user_id == user.pk and device.confirmed
