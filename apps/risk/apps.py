"""Django's name for this part of the house; every new account gets its switch here."""

from django.apps import AppConfig
from django.db.models.signals import post_save


class RiskConfig(AppConfig):
    """Risk."""

    name = "apps.risk"
    label = "risk"
    verbose_name = "Risk"

    def ready(self) -> None:
        """Equip accounts as they are created; make what needs two people known."""
        from apps.brokers.models import BrokerAccount
        from apps.risk import resuming, widening
        from apps.risk.switch import equip

        resuming.register()
        widening.register()

        def on_account(instance: BrokerAccount, created: bool, **_: object) -> None:
            if created:
                equip(instance)

        post_save.connect(on_account, sender=BrokerAccount, weak=False, dispatch_uid="equip")
