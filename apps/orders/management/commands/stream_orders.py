"""manage.py stream_orders"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, close_old_connections

from apps.brokers.management.asking import find_account, show_example
from apps.brokers.models import BrokerAccount
from apps.orders.feed import listen

log = structlog.get_logger(__name__)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Command(BaseCommand):
    """Listen to order updates."""

    help = "Listen to the order updates of one account, or keep one listener per enabled account."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, "python manage.py stream_orders main")
        parser.add_argument("account", nargs="?", help="name of the account")
        parser.add_argument("--all", action="store_true", help="one process per enabled account")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Run until told to stop."""
        self.stopping = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        if options["all"]:
            self._keep_all()
        elif options["account"]:
            listen(find_account(options["account"]), lambda: self.stopping)
        else:
            raise CommandError("Name an account, or say --all.")

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _keep_all(self) -> None:
        children: dict[str, subprocess.Popen[bytes]] = {}
        while not self.stopping:
            wanted = _enabled_accounts(list(children))
            for name in [name for name in children if name not in wanted]:
                children.pop(name).terminate()
            for name in wanted:
                child = children.get(name)
                if child is None or child.poll() is not None:
                    children[name] = _start(name)
            time.sleep(1)
        _stop_all(list(children.values()))


def _enabled_accounts(now: list[str]) -> list[str]:
    """Names of enabled accounts; while the database is away, those that run now."""
    try:
        return list(BrokerAccount.objects.filter(enabled=True).values_list("name", flat=True))
    except Error:
        log.warning("accounts not read; the listeners stay as they are")
        close_old_connections()
        return now


def _start(name: str) -> subprocess.Popen[bytes]:
    log.info("listening", account=name)
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "stream_orders", name]
    return subprocess.Popen(command, preexec_fn=_die_with_parent)  # noqa: S603


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
    if os.getppid() == 1:
        os._exit(1)


def _stop_all(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    deadline = time.monotonic() + 3
    for child in children:
        try:
            child.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            child.kill()
