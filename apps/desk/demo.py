"""The first run: a demo administrator, two simulated accounts, their instruments, a demo trader.

Everything goes through the same doors as real trading; only the addresses are a simulation's.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import Error, close_old_connections, transaction
from django.utils import timezone

from apps.brokers import asking, importing, readiness
from apps.brokers.importing import Busy, Wish
from apps.brokers.models import (
    AccessToken,
    BrokerAccount,
    CalendarKind,
    ImportOutcome,
    Instrument,
    PositionsReport,
)
from apps.brokers.port import Intent, OrderType, ReadFailed, Side
from apps.orders.models import UNDER_WAY, Order, Source
from apps.orders.services import Actor, BadOrder, OrderIntent, TooLate, cancel, modify, place
from apps.orders.words import plain
from apps.people import roles
from apps.signals.models import SignalSource
from apps.signals.sending import send
from apps.signals.sources import open_source

log = structlog.get_logger(__name__)

USERNAME = "admin"
ACCOUNTS = {"paper-1": ("1000000001", "token-1"), "paper-2": ("1000000002", "token-2")}
PRICES_BY = "paper-1"  # the account on whose token prices are listened to
FRESH = 10.0  # seconds
STRATEGY = "demo-strategy"
TRADER = Actor(name="demo trader")
# What the demo trader trades: every other market of the exchange sleeps until it is asked for.
SHARES = ("RELIANCE", "TCS", "HDFCBANK", "INFY", "SBIN", "ITC")
STRIKES = (24400, 24600)
MOST_WORKING = 12  # orders of one account that the demo trader leaves in the book


class NoExchange(RuntimeError):
    """The demo needs the simulated exchange, and it does not answer."""


def make_administrator() -> tuple[str, str] | None:
    """Create the demo administrator; (name, password), or None when somebody is there already."""
    if User.objects.filter(is_superuser=True).exists():
        return None
    password = secrets.token_urlsafe(9)
    User.objects.create_superuser(USERNAME, "", password)
    return USERNAME, password


def make_people() -> list[tuple[str, str]]:
    """One person for each role but the administrator's: (name, password)."""
    made = []
    for name, role in (("viewer", roles.VIEWER), ("trader", roles.TRADER), ("risk", roles.RISK)):
        if not User.objects.filter(username=name).exists():
            password = secrets.token_urlsafe(9)
            roles.give(User.objects.create_user(name, "", password, is_staff=True), role)
            made.append((name, password))
    return made


def make_accounts() -> list[BrokerAccount]:
    """The two simulated accounts; those that exist stay, but for the source of prices."""
    url = settings.SIMEXCHANGE_URL.rstrip("/")
    made = []
    for name, (client_id, token) in ACCOUNTS.items():
        prices = f"ws://{urlsplit(url).netloc}/market-feed" if name == PRICES_BY else ""
        with transaction.atomic():
            account, new = BrokerAccount.objects.get_or_create(
                name=name,
                defaults={
                    "broker": "dhan",
                    "client_id": client_id,
                    "rest_url": f"{url}/v2",
                    "feed_url": f"ws://{urlsplit(url).netloc}/order-update",
                    "calendar": CalendarKind.ALWAYS_OPEN,
                    "market_feed_url": prices,
                },
            )
            if new:
                AccessToken.put_in_force(account, token)
            elif prices and not account.market_feed_url:  # made before prices were listened to
                BrokerAccount.objects.filter(pk=account.pk).update(market_feed_url=prices)
        made.append(account)
    return made


def make_source() -> None:
    """A strategy outside the desk that sends signed signals to the first account."""
    if not SignalSource.objects.filter(name=STRATEGY).exists():
        account = BrokerAccount.objects.get(name=PRICES_BY)
        open_source(SignalSource(name=STRATEGY, account=account, strategy="breakout"))


def import_instruments() -> None:
    """Import the simulated exchange's own master file, as a broker's.

    Raises ``NoExchange`` when there are no instruments then. With older ones the desk can start;
    an alert says what was wrong with the new.
    """
    with suppress(Busy):
        row = importing.import_published(Wish(actor="start"))
        if row.outcome != ImportOutcome.APPLIED and importing.instruments_age() is None:
            raise NoExchange(f"{settings.SIMEXCHANGE_URL} gave no instruments: {row.why}")


def trade(should_stop: Callable[[], bool], desk: str = "", *, pause: float = 2.0) -> None:
    """Place, change and cancel small orders through the gate until ``should_stop``.

    With the address of the ``desk`` some come as signals, by HTTP.
    """
    chance = random.Random()  # noqa: S311 - a demo, not a secret
    while not should_stop():
        try:
            step(chance, desk)
        except (BadOrder, TooLate, ReadFailed, LookupError) as error:
            log.info("demo step skipped", why=str(error))
        except Error as error:
            log.warning("demo step lost the database", error=type(error).__name__)
            close_old_connections()
        time.sleep(pause * chance.uniform(0.6, 1.4))


def step(chance: random.Random, desk: str = "") -> None:
    """One thing a trader would do: mostly place, sometimes change or cancel."""
    accounts = BrokerAccount.objects.filter(name__in=ACCOUNTS, enabled=True)
    account = chance.choice(list(accounts))
    if readiness.reasons_against(account):
        return  # just started, or something is broken: the board says what
    working = list(
        Order.objects.working()
        .filter(account=account, source=Source.DEMO, cancel_wanted_at=None)
        .exclude(modifications__status__in=UNDER_WAY)
        .order_by("id")
    )
    draw = chance.random()
    if working and (draw < 0.2 or len(working) >= MOST_WORKING):
        cancel(working[0], TRADER, "demo: no longer wanted")
    elif working and draw < 0.35:
        order = chance.choice(working)
        price = _near(order.instrument, order.side, chance, account)
        if price != order.price:
            modify(order, TRADER, "demo: follow the market", price=price)
    elif draw < 0.6 and (held := _held(account)):
        _close(account, *chance.choice(held), chance)
    elif desk and draw < 0.7 and account.name == PRICES_BY:
        _signal(account, chance, desk)
    else:
        _place(account, chance)


def _signal(account: BrokerAccount, chance: random.Random, desk: str) -> None:
    """One signal of the demo strategy, if there is one; nobody who hears it is a skipped step."""
    source = SignalSource.objects.filter(name=STRATEGY, enabled=True).first()
    if source is None:
        return
    share = chance.choice([row for row in _watched() if row.segment == "NSE_EQ"])
    wish = {
        "instrument": f"NSE_EQ:{share.symbol}",
        "side": Side.BUY,
        "quantity": chance.randint(5, 40),
        "type": OrderType.LIMIT,
        "price": plain(_near(share, Side.BUY, chance, account)),
        "intent": Intent.ENTRY,
        "reason": "demo: above its range",
    }
    with suppress(OSError):  # what requests raises when nobody answers
        send(source, desk, json.dumps(wish).encode())


def _held(account: BrokerAccount) -> list[tuple[Instrument, int]]:
    """What the account holds by its last position read: (instrument, net units)."""
    report = PositionsReport.objects.filter(account=account).first()
    held = []
    for row in report.rows if report else []:
        instrument = Instrument.objects.filter(
            segment=row["segment"], security_id=row["security_id"]
        ).first()
        if instrument is not None and row["net_quantity"]:
            held.append((instrument, int(row["net_quantity"])))
    return held


def _close(account: BrokerAccount, instrument: Instrument, net: int, chance: random.Random) -> None:
    """Exit up to two lots, or up to sixty shares, of a position."""
    side = Side.SELL if net > 0 else Side.BUY
    most = 2 * instrument.lot_size if instrument.lot_size > 1 else 60
    intent = OrderIntent(
        account=account,
        instrument=instrument,
        side=side,
        quantity=min(abs(net), most),
        order_type=OrderType.LIMIT,
        price=_near(instrument, side, chance, account),
        intent=Intent.EXIT,
        strategy="momentum",
    )
    place(intent, TRADER, Source.DEMO, cause="demo: take the position down")


def _place(account: BrokerAccount, chance: random.Random) -> None:
    instrument = chance.choice(_watched())
    option = instrument.kind == "OPTIDX"  # writing one ties up too much money for a demo
    side = Side.BUY if option else chance.choice(list(Side))
    lots = chance.randint(1, 2) if instrument.lot_size > 1 else chance.randint(5, 60)
    place(
        OrderIntent(
            account=account,
            instrument=instrument,
            side=side,
            quantity=lots * instrument.lot_size,
            order_type=OrderType.LIMIT,
            price=_near(instrument, side, chance, account),
            strategy=chance.choice(["momentum", "mean-revert", "breakout"]),
        ),
        TRADER,
        Source.DEMO,
        cause="demo trading",
    )


def _watched() -> list[Instrument]:
    """Some shares, and the longest-lived calls and puts of NIFTY around its price."""
    living = Instrument.objects.filter(Instrument.living(timezone.localdate()))
    shares = living.filter(segment="NSE_EQ", symbol__in=SHARES)
    options = living.filter(underlying="NIFTY", kind="OPTIDX", strike__range=STRIKES)
    last = options.order_by("-expiry").values_list("expiry", flat=True).first()
    return [*shares, *options.filter(expiry=last)]


def _near(
    instrument: Instrument, side: str, chance: random.Random, account: BrokerAccount
) -> Decimal:
    """A price on the tick around the last one: some orders fill at once, some rest."""
    last = asking.price(account, instrument, FRESH).value
    away = Decimal(str(round(chance.uniform(-0.004, 0.002), 5))) * Side(side).sign
    price = last * (1 + away) // instrument.tick_size * instrument.tick_size
    lower, upper = instrument.limits(timezone.localdate())
    return max(min(price, upper or price), lower or price, instrument.tick_size)
