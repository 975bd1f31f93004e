"""Forget everything this checkout has: the database, the queue, the secrets, the logs."""

from __future__ import annotations

import shutil

from supervisor.account import postgres_account
from supervisor.lock import only_one
from supervisor.places import Places
from supervisor.say import say


def reset(places: Places) -> None:
    if not places.var.exists():
        say("nothing to forget: there is no var/")
        return
    with only_one(places):
        account = postgres_account()
        for directory in (places.postgres_sockets(account), places.valkey_sockets):
            shutil.rmtree(directory, ignore_errors=True)
        if account is not None and places.outside.exists():
            shutil.rmtree(places.outside)
        shutil.rmtree(places.var)
    say("var/ is gone: the next `make run` begins with an empty house")
