"""Django's name for this part of the house."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    """Alerts."""

    name = "apps.alerts"
    label = "alerts"
    verbose_name = "Alerts"
