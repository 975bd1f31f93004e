"""A new key: everything that is stored is encrypted with it, and the old one can go."""

from __future__ import annotations

import io
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection

from apps.alerts import secrets
from apps.alerts.models import Channel
from apps.brokers import logins
from apps.brokers.management.commands.rotate_credentials import encrypted_columns
from apps.brokers.models import AccessToken, LoginCredentials
from apps.signals.models import SignalSource
from tests.alerts.conftest import make_channel
from tests.brokers.asking import PIN, TOTP_SECRET
from tests.brokers.conftest import TOKEN

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def keys(settings: Any) -> Any:
    """Set the keys; the last ones of the test are forgotten after it."""

    def use(*values: str) -> None:
        settings.CREDENTIAL_KEYS = list(values)
        secrets._fernet.cache_clear()

    yield use
    secrets._fernet.cache_clear()


def test_after_the_rotation_the_old_key_can_go(keys, at):
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    keys(old)
    account = at("http://127.0.0.1:9")
    token = str(account.token().value)
    logins.store_login(account, "http://127.0.0.1:9", {"pin": PIN, "totp_secret": TOTP_SECRET})
    keys(new)
    with pytest.raises(ImproperlyConfigured, match="CREDENTIAL_KEYS"):
        account.token()
    keys(new, old)
    out = io.StringIO()
    for _ in range(2):
        call_command("rotate_credentials", stdout=out)
    keys(new)
    assert account.token().value == token
    assert LoginCredentials.objects.get().pin == PIN
    assert "brokers.AccessToken.value: 1 encrypted anew" in out.getvalue()
    assert "brokers.LoginCredentials.app_id: 0 encrypted anew" in out.getvalue()
    assert token not in out.getvalue()
    assert AccessToken.objects.count() == 1


def test_no_secret_of_the_house_is_forgotten(keys, at):
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    keys(old)
    account = at("http://127.0.0.1:9")
    both = {"pin": PIN, "totp_secret": TOTP_SECRET, "app_id": "app", "app_secret": "shh"}
    logins.store_login(account, "http://127.0.0.1:9", both)
    channel = make_channel("phone")
    source = SignalSource.objects.create(
        name="momentum", account=account, secret="whsec_one", previous_secret="whsec_two"
    )
    stored = {pair: _raw(*pair) for pair in encrypted_columns()}
    assert all(stored.values()), "this test fills every encrypted column of the house"
    keys(new, old)
    call_command("rotate_credentials", stdout=io.StringIO())
    keys(new)
    assert all(_raw(*pair) != text for pair, text in stored.items())
    assert Channel.objects.get().address == channel.address
    assert account.token().value == TOKEN
    again = SignalSource.objects.get(pk=source.pk)
    assert (again.secret, again.previous_secret) == ("whsec_one", "whsec_two")
    login = LoginCredentials.objects.get()
    assert (login.pin, login.totp_secret) == (PIN, TOTP_SECRET)
    assert (login.app_id, login.app_secret) == ("app", "shh")


def _raw(model, name):
    """The column as the database has it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name} FROM {model._meta.db_table}")
        return [text for (text,) in cursor.fetchall()]


def test_a_secret_whose_key_is_gone_is_named_and_stops_no_other(keys, at):
    lost, old, new = (Fernet.generate_key().decode() for _ in range(3))
    keys(lost)
    gone = make_channel("gone")
    keys(old)
    account, channel = at("http://127.0.0.1:9"), make_channel("phone", "222")
    keys(new, old)
    with pytest.raises(CommandError, match=f"alerts.Channel.address of row {gone.pk}. Put the key"):
        call_command("rotate_credentials", stdout=io.StringIO())
    keys(new)
    assert account.token().value == TOKEN
    assert Channel.objects.get(pk=channel.pk).address == channel.address
    keys(new, lost)
    call_command("rotate_credentials", stdout=io.StringIO())
    keys(new)
    assert Channel.objects.get(pk=gone.pk).address == gone.address
