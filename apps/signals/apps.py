"""Django's name for this part of the house."""

from django.apps import AppConfig


class SignalsConfig(AppConfig):
    """Signals."""

    name = "apps.signals"
    label = "signals"
    verbose_name = "Signals"
