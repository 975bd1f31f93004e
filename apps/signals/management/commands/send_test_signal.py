"""manage.py send_test_signal"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlsplit

import requests
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.management.asking import show_example
from apps.orders.management.asking import sentence
from apps.signals.models import Fate, Signal, SignalSource
from apps.signals.sending import send

EXAMPLE = """\
python manage.py send_test_signal momentum --url http://localhost:8000 \\
      --instrument NSE_EQ:RELIANCE --side BUY --quantity 1 --price 1400 --test-mode"""
FIELDS = ("instrument", "side", "quantity", "lots", "price", "trigger_price", "product")
WORDS = ("intent", "type", "account", "strategy", "reason")


class Command(BaseCommand):
    """Send one signed signal over HTTP, as its sender would, and tell what became of it."""

    help = "Send one signed signal over HTTP as its sender would. Exit code 1 unless acted on."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, EXAMPLE)
        parser.add_argument("name", help="name of the source")
        parser.add_argument("--url", required=True, help="where the desk listens")
        parser.add_argument("--instrument", required=True, help="SYMBOL or SEGMENT:SYMBOL")
        parser.add_argument("--side", required=True, help="BUY or SELL")
        parser.add_argument("--quantity", help="units, not lots")
        parser.add_argument("--lots", help="instead of the quantity")
        parser.add_argument("--type", help="LIMIT with a price, MARKET without one, if not said")
        parser.add_argument("--price", help="rupees; not for MARKET")
        parser.add_argument("--trigger-price", help="rupees; for STOP_LIMIT")
        parser.add_argument("--intent", default="ENTRY", help="ENTRY, EXIT or ADJUST")
        parser.add_argument("--product", help="INTRADAY, DELIVERY, MARGIN or MTF")
        parser.add_argument("--account", help="another account that the source may use")
        parser.add_argument("--strategy", help="another strategy than the source's")
        parser.add_argument("--reason", help="why, for the record")
        parser.add_argument("--test-mode", action="store_true", help="never reaches a live account")
        parser.add_argument("--wait", type=float, default=5, help="seconds to wait for its fate")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Sign, send, and wait for the fate."""
        source = _source(options["name"])
        answer = _post(source, _address(options["url"]), _body(options))
        self.stdout.write(f"{answer.status_code} {answer.text.strip()[:500]}")
        if answer.status_code != requests.codes.accepted:
            raise CommandError("The signal was not taken.", returncode=1)
        signal = _wait(answer.json()["id"], options["wait"])
        reason = f": {signal.reason}" if signal.reason else ""
        self.stdout.write(f"signal {signal.pk} is {signal.fate}{reason}")
        if signal.order:
            self.stdout.write(sentence(signal.order))
        if signal.fate != Fate.ACTED:
            raise CommandError(f"The signal is {signal.fate}.", returncode=1)


def _source(name: str) -> SignalSource:
    source = SignalSource.objects.filter(name=name).first()
    if source is None:
        names = ", ".join(SignalSource.objects.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"There is no source {name!r}. Sources: {names}.")
    return source


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise CommandError(f"--url {url!r} is no address; for example http://localhost:8000.")
    return url


def _body(options: dict[str, Any]) -> bytes:
    given = {name: options[name] for name in (*FIELDS, *WORDS) if options[name] is not None}
    given.setdefault("type", "LIMIT" if "price" in given else "MARKET")
    return json.dumps(given | {"test_mode": options["test_mode"]}).encode()


def _post(source: SignalSource, address: str, body: bytes) -> requests.Response:
    try:
        return send(source, address, body)
    except requests.RequestException as error:
        raise CommandError(f"--url: nobody took the signal ({type(error).__name__}).") from None


def _wait(signal_id: int, seconds: float) -> Signal:
    """The signal once its fate is settled, or as it is when the time is up."""
    deadline = time.monotonic() + seconds
    found = Signal.objects.select_related("order__account", "order__instrument")
    while (signal := found.get(pk=signal_id)).fate == Fate.RECEIVED:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return signal
