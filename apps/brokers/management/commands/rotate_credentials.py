"""manage.py rotate_credentials"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models, transaction

from apps.alerts.secrets import EncryptedTextField
from apps.brokers.management.asking import show_example


class Command(BaseCommand):
    """Encrypt every stored secret with the newest key."""

    help = (
        "Encrypt everything that is stored with the first of CREDENTIAL_KEYS. Put the new key "
        "first and keep the old ones, restart the desk, run this, then take the old keys away. "
        "Safe to repeat, and while the desk runs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, "python manage.py rotate_credentials")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Column by column; a row that changes meanwhile keeps its newer value."""
        lost = []
        for model, name in encrypted_columns():
            count, unreadable = _rotate(model, name)
            lost += [f"{model._meta.label}.{name} of row {pk}" for pk in unreadable]
            self.stdout.write(f"{model._meta.label}.{name}: {count} encrypted anew")
        if lost:
            named = ", ".join(lost[:20])
            raise CommandError(
                f"{len(lost)} could not be read with any of CREDENTIAL_KEYS: {named}. Put the key "
                "that they were stored with behind the others and run this again, or store them "
                "anew. All others are done; keep every key until these are."
            )


def encrypted_columns() -> Iterator[tuple[type[models.Model], str]]:
    """Every column of the house that is encrypted, found by its type."""
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_fields:
            if isinstance(field, EncryptedTextField):
                yield model, field.attname


def _rotate(model: type[models.Model], name: str) -> tuple[int, list[Any]]:
    """Rows with a secret, one by one: none is ever without it. How many, and which not."""
    count, unreadable = 0, []
    rows = model._base_manager.exclude(**{name: ""})
    for pk in rows.values_list("pk", flat=True).iterator():
        try:
            count += _rotate_one(model, name, pk)
        except ImproperlyConfigured:
            unreadable.append(pk)
    return count, unreadable


def _rotate_one(model: type[models.Model], name: str, pk: Any) -> int:  # noqa: ANN401 - any key
    with transaction.atomic():
        row = model._base_manager.select_for_update().filter(pk=pk).only(name).first()
        if row is None:
            return 0
        model._base_manager.filter(pk=pk).update(**{name: getattr(row, name)})
    return 1
