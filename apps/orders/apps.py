"""Django's name for this part of the house."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class OrdersConfig(AppConfig):
    """Orders."""

    name = "apps.orders"
    label = "orders"
    verbose_name = "Orders"

    def ready(self) -> None:
        """Make large orders and releases known to the approvals; count what an upgrade brings."""
        from apps.orders import approving, ledger, releasing

        approving.register()
        releasing.register()
        post_migrate.connect(ledger.on_migrate, sender=self, dispatch_uid="orders.ledger")
