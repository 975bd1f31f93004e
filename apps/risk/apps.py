"""Django's name for this part of the house."""

from django.apps import AppConfig


class RiskConfig(AppConfig):
    """Risk."""

    name = "apps.risk"
    label = "risk"
    verbose_name = "Risk"
