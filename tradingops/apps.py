"""Registers the start-up checks of the house."""

from django.apps import AppConfig


class TradingOpsConfig(AppConfig):
    """The wiring itself, so that its checks run with every command."""

    name = "tradingops"
    verbose_name = "Trading operations"

    def ready(self) -> None:
        """Load the checks, and the celery app that bells are rung through."""
        from tradingops import celery, checks  # noqa: F401
