"""``--as USERNAME``: a command given in a person's name, with that person's rights."""

from __future__ import annotations

import getpass

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser


def add_as(parser: CommandParser, *, required: bool = False) -> None:
    """The option, the same on every command."""
    parser.add_argument(
        "--as",
        dest="as_user",
        metavar="USERNAME",
        required=required,
        help="act as this person, who must have the right; recorded with your own login",
    )


def acting(username: str | None, permission: str) -> tuple[str, User | None]:
    """The name for the record, and the person if one was named."""
    login = f"{getpass.getuser()} (command line)"
    if not username:
        return login, None
    person = User.objects.filter(username=username, is_active=True, is_staff=True).first()
    if person is None:
        raise CommandError(f"--as {username!r}: nobody of that name may use the desk.")
    if not person.has_perm(permission):
        raise CommandError(f"--as {username!r}: this person may not do that ({permission}).")
    return f"{username}, by {login}", person
