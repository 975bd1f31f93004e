"""A new key: everything that is stored is encrypted with it, and the old one can go."""

from __future__ import annotations

import io
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from apps.alerts import secrets
from apps.brokers import logins
from apps.brokers.models import AccessToken, LoginCredentials
from tests.brokers.asking import PIN, TOTP_SECRET

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
