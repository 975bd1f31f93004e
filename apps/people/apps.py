"""Django's name for this part of the house; roles follow every migration."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_migrate


class PeopleConfig(AppConfig):
    """People."""

    name = "apps.people"
    label = "people"
    verbose_name = "People"

    def ready(self) -> None:
        """Keep the roles in step; start the clock of every session."""
        from apps.people import entry, roles

        post_migrate.connect(roles.on_migrate, sender=self, dispatch_uid="people.roles")
        user_logged_in.connect(entry.on_sign_in, dispatch_uid="people.sign_in")
