"""The second factor: an authenticator's codes, and ten recovery codes that work once each."""

from __future__ import annotations

import secrets
from base64 import b32encode
from hashlib import sha256

import segno
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django_otp import login as passed_with
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from apps.people.audit import record

RECOVERY_CODES = 10
NAME = "authenticator"


class AlreadySetUp(Exception):
    """The person has a second factor; only somebody else can take it away."""


def pending(user: User) -> TOTPDevice:
    """The device being set up: one per person, so that every look shows the same key."""
    if TOTPDevice.objects.filter(user=user, confirmed=True).exists():
        raise AlreadySetUp
    device = TOTPDevice.objects.filter(user=user, confirmed=False).first()
    return device or TOTPDevice.objects.create(user=user, confirmed=False, name=NAME)


def key_of(device: TOTPDevice) -> str:
    """The key as people type it, in groups of four."""
    key = b32encode(device.bin_key).decode()
    return " ".join(key[at : at + 4] for at in range(0, len(key), 4))


def picture_of(device: TOTPDevice) -> str:
    """The key as a QR code, drawn here: no other host learns it."""
    return segno.make(device.config_url, error="m").svg_inline(
        scale=5, border=3, dark="#000", light="#fff", title="Key of the second factor"
    )


@transaction.atomic
def confirm(request: HttpRequest, user: User, code: str) -> list[str]:
    """Finish setting up; the recovery codes, shown this once. Empty when the code is wrong."""
    User.objects.select_for_update().get(pk=user.pk)
    device = TOTPDevice.objects.select_for_update().get(pk=pending(user).pk)
    if not device.verify_token(_digits(code)):
        return []
    device.confirmed = True
    device.save(update_fields=["confirmed"])
    record(user, by=user, what="second factor set up")
    _let_in(request, device)
    return _new_recovery_codes(user)


def verify(request: HttpRequest, user: User, code: str) -> str:
    """Try a code; empty when it was right, else what to say. A used code never works again."""
    typed = code.replace(" ", "").replace("-", "").lower()
    model, token = (TOTPDevice, typed) if typed.isdigit() else (StaticDevice, _fingerprint(typed))
    with transaction.atomic():
        device = model.objects.select_for_update().filter(user=user, confirmed=True).first()
        if device is None:
            return "This code is not right."
        allowed, why = device.verify_is_allowed()
        if not allowed:
            until = (why or {}).get("locked_until")
            return f"Too many wrong codes. Try again{f' after {until:%H:%M:%S}' if until else ''}."
        if not device.verify_token(token):
            return "This code is not right, or was used before."
        _let_in(request, device)
    if model is StaticDevice:
        record(user, by=user, what="recovery code used")
    return ""


def recovery_codes_left(user: User) -> int:
    """How many are not used yet."""
    return sum(device.token_set.count() for device in StaticDevice.objects.filter(user=user))


@transaction.atomic
def take_away(user: User, by: User, reason: str) -> None:
    """Forget a person's second factor (a lost phone), by somebody else's hand."""
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    record(user, by=by, what="second factor taken away", reason=reason)


def _new_recovery_codes(user: User) -> list[str]:
    """Only fingerprints are stored: a copy of the database opens nothing."""
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name="recovery codes")
    codes = [b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    for code in codes:
        device.token_set.create(token=_fingerprint(code))
    return ["-".join(code[at : at + 4] for at in range(0, 16, 4)) for code in codes]


def _let_in(request: HttpRequest, device: Device) -> None:
    """A new session key: whoever knew the old one stays outside."""
    request.session.cycle_key()
    passed_with(request, device)


def _fingerprint(code: str) -> str:
    return sha256(code.encode()).hexdigest()[:16]


def _digits(code: str) -> str:
    return code.replace(" ", "")
