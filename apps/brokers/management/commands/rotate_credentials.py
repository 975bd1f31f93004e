"""manage.py rotate_credentials"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandParser
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
        for model in apps.get_models():
            for field in model._meta.local_fields:
                if isinstance(field, EncryptedTextField):
                    count = _rotate(model, field.attname)
                    self.stdout.write(
                        f"{model._meta.label}.{field.attname}: {count} encrypted anew"
                    )


def _rotate(model: type[models.Model], name: str) -> int:
    """Rows with a secret, one by one: none is ever without it."""
    count = 0
    rows = model._default_manager.exclude(**{name: ""})
    for pk in rows.values_list("pk", flat=True).iterator():
        count += _rotate_one(model, name, pk)
    return count


def _rotate_one(model: type[models.Model], name: str, pk: Any) -> int:  # noqa: ANN401 - any key
    with transaction.atomic():
        row = model._default_manager.select_for_update().filter(pk=pk).only(name).first()
        if row is None:
            return 0
        model._default_manager.filter(pk=pk).update(**{name: getattr(row, name)})
    return 1
