"""Write down what changes about people."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from apps.people.models import PersonChange

FACTS = ("username", "first_name", "last_name", "email", "is_active", "is_staff", "is_superuser")


def facts_of(user: User) -> dict[str, Any]:
    """What a person is and may do, without the password."""
    return {name: getattr(user, name) for name in FACTS} | {
        "groups": sorted(user.groups.values_list("name", flat=True)),
        "permissions": sorted(user.user_permissions.values_list("codename", flat=True)),
    }


def record(
    person: User,
    *,
    by: User | None,
    what: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
) -> None:
    """One row: who, whom, before, after."""
    PersonChange.objects.create(
        person=person,
        by=by,
        what=what,
        before=before or {},
        after=after or {},
        reason=reason[:300],
    )


def record_difference(person: User, by: User, before: dict[str, Any]) -> None:
    """One row with only what differs; none when nothing does."""
    now = facts_of(person)
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        what = "changed" if before else "created"
        old = {name: before[name] for name in changed if name in before}
        record(person, by=by, what=what, before=old, after={name: now[name] for name in changed})
