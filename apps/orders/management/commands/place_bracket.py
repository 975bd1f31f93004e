"""manage.py place_bracket"""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.finding import NotFound, find_instrument
from apps.brokers.management.asking import find_account, show_example
from apps.brokers.port import OrderType, Product, Side
from apps.orders.brackets import BracketIntent, in_words, place
from apps.orders.management.asking import operator, rupees, whole, word
from apps.orders.models import Bracket, BracketStatus, LegStatus, Source
from apps.orders.services import BadOrder
from apps.people.acting import add_as

EXAMPLE = """\
python manage.py place_bracket paper-1 --instrument RELIANCE --side BUY --quantity 10 \\
      --price 1400 --stop-price 1390 --target-price 1420 --wait"""


class Command(BaseCommand):
    """Place one entry with its stop, and a target if wanted, through the risk gate."""

    help = "Place an entry with a stop and a target. Exit code 1 when it is refused."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, EXAMPLE)
        parser.add_argument("account", help="name of the account")
        parser.add_argument(
            "--instrument", required=True, help="SYMBOL, SEGMENT:SYMBOL or SEGMENT:SECURITY_ID"
        )
        parser.add_argument("--side", required=True, help=" or ".join(Side))
        parser.add_argument("--quantity", required=True, help="units, not lots")
        parser.add_argument("--type", default="LIMIT", help="LIMIT or MARKET, of the entry")
        parser.add_argument("--price", help="rupees; not for MARKET")
        parser.add_argument("--stop-price", required=True, help="rupees at which the stop triggers")
        parser.add_argument("--stop-limit", help="rupees; without it the desk's distance")
        parser.add_argument("--target-price", help="rupees")
        parser.add_argument("--trailing-jump", help="rupees per step in which the stop follows")
        parser.add_argument("--product", default="INTRADAY", help=", ".join(Product))
        parser.add_argument("--strategy", default="", help="whose bracket this is")
        parser.add_argument("--reason", default="", help="why, for the record")
        parser.add_argument("--key", default="", help="the same key never places a second one")
        parser.add_argument("--wait", action="store_true", help="wait until its stop is at work")
        parser.add_argument("--timeout", type=float, default=60, help="seconds to wait")
        add_as(parser)
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Place, wait if asked to, and show what became of it."""
        try:
            bracket = place(
                _intent(options),
                operator(options["as_user"], "orders.place_order"),
                Source.COMMAND,
                options["reason"],
                options["key"],
            )
        except BadOrder as error:
            option = "type" if error.field == "order_type" else error.field.replace("_", "-")
            raise CommandError(f"--{option} {error.text}.") from None
        if options["wait"]:
            _wait(bracket, options["timeout"])
        told = json.dumps(shown(bracket)) if options["json"] else sentences(bracket)
        self.stdout.write(told)
        if bracket.status == BracketStatus.OVER and bracket.entered_at is None:
            raise CommandError("The bracket was not entered.", returncode=1)


def _intent(options: dict[str, Any]) -> BracketIntent:
    try:
        instrument = find_instrument(options["instrument"])
    except NotFound as error:
        raise CommandError(f"--instrument: {error}.") from None
    return BracketIntent(
        account=find_account(options["account"]),
        instrument=instrument,
        side=word(Side, options["side"], "side"),
        quantity=whole(options["quantity"], "quantity"),
        order_type=word(OrderType, options["type"], "type"),
        price=rupees(options["price"], "price"),
        stop_price=rupees(options["stop_price"], "stop-price"),
        stop_limit=rupees(options["stop_limit"], "stop-limit"),
        target_price=rupees(options["target_price"], "target-price"),
        trailing_jump=rupees(options["trailing_jump"], "trailing-jump"),
        product=word(Product, options["product"], "product"),
        strategy=options["strategy"],
    )


def _wait(bracket: Bracket, timeout: float) -> None:
    """Until its stop is at work, it is over, or the time is up."""
    deadline = time.monotonic() + timeout
    while not bracket.over and time.monotonic() < deadline:
        if bracket.legs.filter(leg="STOP_LOSS", status=LegStatus.WORKING).exists():
            return
        time.sleep(0.1)
        bracket.refresh_from_db()


def shown(bracket: Bracket) -> dict[str, Any]:
    """A bracket and its legs as plain values."""
    return {
        "id": bracket.pk,
        "account": bracket.account.name,
        "what": in_words(bracket),
        "style": bracket.style,
        "status": bracket.status,
        "reason": bracket.reason or None,
        "legs": [
            {
                "leg": leg.leg,
                "status": leg.status,
                "quantity": leg.quantity,
                "filled_quantity": leg.filled_quantity,
                "leg_order_id": leg.leg_order_id or None,
                "correlation_id": leg.order.correlation_id if leg.order else None,
                "reason": leg.reason or None,
            }
            for leg in bracket.legs.select_related("order").order_by("pk")
        ],
    }


def sentences(bracket: Bracket) -> str:
    """A bracket in one line, and each of its legs in another."""
    facts = shown(bracket)
    reason = f": {facts['reason']}" if facts["reason"] else ""
    first = f"bracket {facts['id']}  {facts['what']} on {facts['account']} is {facts['status']}"
    lines = [
        f"  {leg['leg']}  {leg['status']}, filled {leg['filled_quantity']} of {leg['quantity']}"
        + (f": {leg['reason']}" if leg["reason"] else "")
        for leg in facts["legs"]
    ]
    return "\n".join([first + reason, *lines])
