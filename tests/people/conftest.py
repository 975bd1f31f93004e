"""People with the four roles, real codes of a second factor, and orders that need two people."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from apps.desk import rows
from apps.orders.services import Actor
from apps.people import roles
from apps.risk.models import RiskPolicy

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _fresh_rows():
    rows._drawn.cache_clear()


def member(name, role="", *, superuser=False):
    """A person who may sign in, with one role."""
    user = User.objects.create_user(
        name, password=PASSWORD, is_staff=bool(role) or superuser, is_superuser=superuser
    )
    roles.give(user, role)
    return User.objects.get(pk=user.pk)


def fresh(user):
    return User.objects.get(pk=user.pk)


def entered(user):
    client = Client()
    client.force_login(user)
    return client


def by_password(name, client=None, **extra):
    """Sign in through the form; the client and the answer."""
    client = client or Client()
    answer = client.post("/admin/login/", {"username": name, "password": PASSWORD}, **extra)
    return client, answer


def code_of(device, steps=0):
    """What the person's phone shows now, or some half minutes later."""
    shown = TOTP(device.bin_key, device.step, device.t0, device.digits, device.drift)
    shown.time = time.time() + 30 * steps
    return f"{shown.token():06d}"


def with_phone(user):
    """A person who has set a second factor up already."""
    return TOTPDevice.objects.create(user=user, name="phone", confirmed=True)


@pytest.fixture
def viewer(db):
    return member("victor", roles.VIEWER)


@pytest.fixture
def tara(db):
    """A trader: the maker of large orders."""
    return member("tara", roles.TRADER)


@pytest.fixture
def rita(db):
    """A risk officer: the checker."""
    return member("rita", roles.RISK)


@pytest.fixture
def ruben(db):
    """Another risk officer."""
    return member("ruben", roles.RISK)


@pytest.fixture
def adam(db):
    return member("adam", roles.ADMINISTRATOR)


@pytest.fixture
def owner(db):
    return member("otto", superuser=True)


@pytest.fixture
def stranger(db):
    """Staff, but without a role."""
    user = member("stella")
    user.is_staff = True
    user.save()
    return user


def approval_above(account, value):
    """The next version of the account's limits, with this one changed."""
    policy = RiskPolicy.objects.filter(account=account).first()
    fields = {
        field.name: getattr(policy, field.name)
        for field in RiskPolicy._meta.fields
        if field.name not in {"id", "created_at"}
    }
    changed = {"version": policy.version + 1, "approval_above_value": Decimal(value)}
    return RiskPolicy.objects.create(**(fields | changed))


@pytest.fixture
def maker(tara):
    return Actor(name="tara", user=tara)
