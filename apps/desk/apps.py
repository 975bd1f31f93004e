"""Django's name for this part of the house."""

from django.apps import AppConfig


class DeskConfig(AppConfig):
    """Desk."""

    name = "apps.desk"
    label = "desk"
    verbose_name = "Desk"
