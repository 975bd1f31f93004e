"""Django's name for this part of the house."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """Orders."""

    name = "apps.orders"
    label = "orders"
    verbose_name = "Orders"

    def ready(self) -> None:
        """Make large orders and releases known to the approvals."""
        from apps.orders import approving, releasing

        approving.register()
        releasing.register()
