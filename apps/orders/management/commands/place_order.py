"""manage.py place_order"""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.finding import NotFound, find_instrument
from apps.brokers.management.asking import find_account, show_example
from apps.brokers.port import Intent, OrderType, Product, Side, Validity
from apps.orders.management.asking import (
    operator,
    rupees,
    sentence,
    shown,
    shown_whole,
    whole,
    whole_sentences,
    word,
)
from apps.orders.models import Order, Progress, Slicing, Source
from apps.orders.services import BadOrder, OrderIntent, place
from apps.orders.states import TERMINAL, Status
from apps.orders.wholes import slices_of
from apps.people.acting import add_as

EXAMPLE = """\
python manage.py place_order paper-1 --instrument RELIANCE --side BUY --quantity 1 \\
      --type LIMIT --price 1400 --wait"""
SETTLED = TERMINAL | {Status.OPEN, Status.PARTIALLY_FILLED, Status.UNKNOWN}
REFUSED = {Status.DENIED, Status.REJECTED, Status.LAPSED, Status.NEVER_ARRIVED, Status.UNKNOWN}


class Command(BaseCommand):
    """Place one order through the risk gate."""

    help = "Place one order through the risk gate. Exit code 1 when it is refused or unknown."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, EXAMPLE)
        parser.add_argument("account", help="name of the account")
        parser.add_argument(
            "--instrument", required=True, help="SYMBOL, SEGMENT:SYMBOL or SEGMENT:SECURITY_ID"
        )
        parser.add_argument("--side", required=True, help=" or ".join(Side))
        parser.add_argument("--quantity", required=True, help="units, not lots")
        parser.add_argument("--type", default="LIMIT", help=", ".join(OrderType))
        parser.add_argument("--price", help="rupees; not for MARKET or STOP_MARKET")
        parser.add_argument("--trigger-price", help="rupees; for STOP_LIMIT and STOP_MARKET")
        parser.add_argument("--product", default="INTRADAY", help=", ".join(Product))
        parser.add_argument("--validity", default="DAY", help=" or ".join(Validity))
        parser.add_argument("--intent", default="ENTRY", help=", ".join(Intent))
        parser.add_argument("--after-market", action="store_true", help="wait for the next opening")
        parser.add_argument("--strategy", default="", help="whose order this is")
        parser.add_argument("--reason", default="", help="why, for the record")
        parser.add_argument("--key", default="", help="the same key never places a second order")
        wait = "wait until the exchange has it, all slices of it if it is sent in slices"
        parser.add_argument("--wait", action="store_true", help=wait)
        parser.add_argument("--timeout", type=float, default=60, help="seconds to wait")
        add_as(parser)
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Place, wait if asked to, and show what became of it."""
        try:
            order = place(
                _intent(options),
                operator(options["as_user"], "orders.place_order"),
                Source.COMMAND,
                cause=options["reason"],
                request_key=options["key"],
            )
        except BadOrder as error:
            raise CommandError(f"--{error.field.replace('_', '-')} {error.text}.") from None
        if order.parent is not None:
            self._tell_whole(order.parent, options)
            return
        if options["wait"]:
            _wait(order, options["timeout"])
        if options["json"]:
            self.stdout.write(json.dumps(shown(order)))
        else:
            self.stdout.write(sentence(order))
        if order.status in REFUSED:
            raise CommandError(f"The order is {order.status}: {order.reason}", returncode=1)

    def _tell_whole(self, parent: Slicing, options: dict[str, Any]) -> None:
        """The same of what is sent in slices."""
        if options["wait"]:
            _wait_for_all(parent, options["timeout"])
        told = json.dumps(shown_whole(parent)) if options["json"] else whole_sentences(parent)
        self.stdout.write(told)
        bad = [order.slice_number for order in slices_of(parent) if order.status in REFUSED]
        if bad or parent.status in {Progress.STOPPED, Progress.REFUSED}:
            why = parent.reason or f"slice {bad[0]} did not get through"
            raise CommandError(f"The order is {parent.status}: {why}", returncode=1)


def _intent(options: dict[str, Any]) -> OrderIntent:
    account = find_account(options["account"])
    try:
        leaving = options["intent"].upper() == Intent.EXIT
        instrument = find_instrument(options["instrument"], leaving=leaving)
    except NotFound as error:
        raise CommandError(f"--instrument: {error}.") from None
    return OrderIntent(
        account=account,
        instrument=instrument,
        side=word(Side, options["side"], "side"),
        quantity=whole(options["quantity"], "quantity"),
        order_type=word(OrderType, options["type"], "type"),
        price=rupees(options["price"], "price"),
        trigger_price=rupees(options["trigger_price"], "trigger-price"),
        product=word(Product, options["product"], "product"),
        validity=word(Validity, options["validity"], "validity"),
        intent=word(Intent, options["intent"], "intent"),
        after_market=options["after_market"],
        strategy=options["strategy"],
    )


def _wait_for_all(parent: Slicing, timeout: float) -> None:
    """Until no slice is to be placed, and every one that was has come to something."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        parent.refresh_from_db()
        done = all(order.status in SETTLED for order in slices_of(parent))
        if done and parent.status != Progress.PLACING:
            return
        time.sleep(0.1)


def _wait(order: Order, timeout: float) -> None:
    """Until the exchange has answered, the order is over or in doubt, or the time is up."""
    deadline = time.monotonic() + timeout
    while order.status not in SETTLED and time.monotonic() < deadline:
        time.sleep(0.1)
        order.refresh_from_db()
