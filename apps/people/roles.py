"""The four roles. They are groups, made of permissions here and kept in step by every migration."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet

VIEWER, TRADER, RISK, ADMINISTRATOR = "viewer", "trader", "risk officer", "administrator"
ROLES = (VIEWER, TRADER, RISK, ADMINISTRATOR)
HIDDEN_APPS = frozenset({"people"})
# For administrators alone.
HIDDEN_MODELS = frozenset({"accesstoken", "logincredentials", "telegramuser"})
OF_TRADER = (
    "orders.place_order",
    "orders.modify_order",
    "orders.cancel_order",
    "risk.flatten",
)
OF_RISK = (
    "orders.cancel_order",
    "risk.flatten",
    "orders.add_openingentry",
    "orders.resolve_break",
    "risk.change_tradingstate",
    "risk.add_riskpolicy",
    "risk.decide_approval",
    "alerts.change_alert",
    "alerts.test_channel",
)
OF_ADMINISTRATOR = ("auth.view_user", "auth.add_user", "auth.change_user", "auth.view_group")
WATCHED_APPS = ("axes",)  # sign-ins, read-only


def on_migrate(using: str, **_: Any) -> None:  # noqa: ANN401 - Django's own signature
    """Make the groups, and give each exactly its permissions. Safe to repeat."""
    for role in ROLES:
        group, _made = Group.objects.using(using).get_or_create(name=role)
        group.permissions.set(permissions_of(role))


def permissions_of(role: str) -> QuerySet[Permission]:
    """What a role may do."""
    ours = [config.label for config in apps.get_app_configs() if config.name.startswith("apps.")]
    if role == ADMINISTRATOR:
        every = Q(content_type__app_label__in=ours) | _named(OF_ADMINISTRATOR)
        watched = Q(content_type__app_label__in=WATCHED_APPS, codename__startswith="view_")
        return Permission.objects.filter(every | watched)
    seen = Q(
        content_type__app_label__in=set(ours) - HIDDEN_APPS, codename__startswith="view_"
    ) & ~Q(content_type__model__in=HIDDEN_MODELS)
    acts = {TRADER: OF_TRADER, RISK: OF_RISK}.get(role, ())
    return Permission.objects.filter(seen | _named(acts))


def role_of(user: User) -> str:
    """The person's role; empty for nobody's."""
    names = set(user.groups.values_list("name", flat=True))
    return next((role for role in reversed(ROLES) if role in names), "")


def give(user: User, role: str) -> None:
    """Give a person exactly this role; other groups stay."""
    user.groups.remove(*Group.objects.filter(name__in=ROLES))
    if role:
        user.groups.add(Group.objects.get(name=role))


def _named(names: tuple[str, ...]) -> Q:
    wanted = Q(pk__in=[])
    for name in names:
        app, codename = name.split(".")
        wanted |= Q(content_type__app_label=app, codename=codename)
    return wanted
