"""Django's name for this part of the house."""

from django.apps import AppConfig


class BrokersConfig(AppConfig):
    """Brokers."""

    name = "apps.brokers"
    label = "brokers"
    verbose_name = "Brokers"
