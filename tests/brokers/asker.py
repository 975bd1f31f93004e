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


def do_everything(account: Any) -> None:
    """Every way to a token, good and bad, with all that could show a secret written out."""
    import logging

    from django.core.exceptions import ValidationError
    from django.core.management import CommandError, call_command

    from apps.brokers import logins, sessions, tending, tokens, totp
    from apps.brokers.dhan.tokens import DhanTokens
    from apps.brokers.models import LoginCredentials, WireCall
    from apps.brokers.recording import recorded

    log = logging.getLogger("everything")
    totp.LATE = 0
    login = LoginCredentials.objects.get(account=account)

    def attempt(work: Any, *args: Any) -> None:
        try:
            log.info("came of it: %r", work(*args))
        except (tokens.NotNow, tokens.NoToken, CommandError, ValidationError) as why:
            log.info("nothing came of it: %r %s", why, why)

    attempt(tokens.renew, account)
    attempt(tokens.log_in, account)
    attempt(tokens.ask_consent, account)
    attempt(tokens.use_consent, account, "a-token-id-of-nobody")
    attempt(logins.check_login, account, "http://127.0.0.1:9", {"pin": "98765"})
    LoginCredentials.objects.update(auth_url="http://127.0.0.1:9")
    attempt(tokens.ask_consent, account)
    attempt(tokens.use_consent, account, "a-token-id-of-nobody")
    attempt(call_command, "check_account", account.name)
    attempt(call_command, "renew_token", account.name)
    tending.tend(account)
    call = WireCall.objects.order_by("pk").last()
    things = [login, vars(login), account.token(), vars(account.token()), sessions.held(account)]
    log.info("things: %r", [*things, DhanTokens(call), call, vars(call)])
    recorded(lambda: (_ for _ in ()).throw(RuntimeError(f"pin={login.pin} tokenId=abc")))()


def main(what: str, name: str) -> None:
    django.setup()
    from apps.brokers import tending, tokens, totp, wire
    from apps.brokers.accounts import put_token
    from apps.brokers.models import BrokerAccount

    totp.LATE = 0
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
    elif what == "everything":
        do_everything(account)
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
