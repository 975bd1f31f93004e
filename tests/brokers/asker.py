"""A process that wants a token, for tests with several of them or with one that dies.

Usage: ``python -m tests.brokers.asker WHAT ACCOUNT`` with the test's database in the environment.
It says ``ready`` and begins when it reads a line.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import django


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(what: str, name: str) -> None:
    django.setup()
    from apps.brokers import tending, tokens, wire
    from apps.brokers.accounts import put_token
    from apps.brokers.models import BrokerAccount

    account = BrokerAccount.objects.get(name=name)
    exchange = wire._exchange

    def speak_and_die(*args: Any) -> Any:
        exchange(*args)
        die()

    print("ready", flush=True)
    sys.stdin.readline()
    if what == "tend":
        for _ in range(5):
            tending.tend(account)
    elif what == "store":
        for number in range(20):
            put_token(account, f"token-of-{os.getpid()}-{number}")
    elif what == "die_before_speaking":
        wire._exchange = die  # type: ignore[assignment]
        tokens.renew(account)
    elif what == "die_after_speaking":
        wire._exchange = speak_and_die  # type: ignore[assignment]
        tokens.renew(account)
    elif what == "die_before_commit":
        tokens._settle = die  # type: ignore[assignment]
        tokens.renew(account)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
