"""A model field that is encrypted at rest, with keys that can be rotated."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


class Secret(str):
    """Text that does not show itself: ``repr`` and ``str.format`` of a container print stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"


@lru_cache(maxsize=1)
def _fernet() -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in settings.CREDENTIAL_KEYS])
    except ValueError as error:
        raise ImproperlyConfigured(
            "CREDENTIAL_KEYS must be a comma-separated list of Fernet keys "
            "(32 random bytes, URL-safe base64); the newest comes first."
        ) from error


def decrypted(value: str) -> Secret:
    """What an ``EncryptedTextField`` holds; a key that is gone is an error that says so."""
    if value == "":
        return Secret("")
    try:
        return Secret(_fernet().decrypt(value.encode()).decode())
    except InvalidToken as error:
        raise ImproperlyConfigured(
            "A stored credential was encrypted with a key that is not in CREDENTIAL_KEYS."
        ) from error


if TYPE_CHECKING:
    _TextField = models.TextField[str, Secret]
else:
    _TextField = models.TextField


class EncryptedTextField(_TextField):
    """Text encrypted with the first of ``CREDENTIAL_KEYS`` and read with any of them."""

    def get_prep_value(self, value: Any) -> Any:  # noqa: ANN401 - Django's own signature
        """Encrypt on the way into the database."""
        if value is None or value == "":
            return value
        return _fernet().encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, *_: object) -> Secret | None:
        """Decrypt on the way out."""
        return None if value is None else decrypted(value)
