"""People of the desk, and orders in every part of their life."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User

from apps.brokers.models import AccessToken, BrokerAccount, Instrument
from apps.desk import rows
from apps.orders import brackets, lifecycle, slices
from apps.orders.lifecycle import Happening
from apps.orders.models import Bracket, Order, Slicing
from apps.orders.states import Event
from apps.risk.models import DESK, TradingState
from apps.risk.switch import equip

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _fresh_rows():
    rows._drawn.cache_clear()


@pytest.fixture
def desk_switch(db):
    return TradingState.objects.get_or_create(scope=DESK, defaults={"switch": "ACTIVE"})[0]


@pytest.fixture
def account(desk_switch):
    account = BrokerAccount.objects.create(
        name="paper-one",
        broker="dhan",
        client_id="1000000001",
        rest_url="http://127.0.0.1:9/v2",
        feed_url="ws://127.0.0.1:9",
        calendar="always_open",
    )
    AccessToken.put_in_force(account, "token-1")
    equip(account)
    return account


@pytest.fixture
def reliance(db):
    return Instrument.objects.create(
        segment="NSE_EQ",
        security_id="2885",
        symbol="RELIANCE",
        name="Reliance Industries",
        kind="EQUITY",
        lot_size=1,
        tick_size=Decimal("0.05"),
    )


@pytest.fixture
def new_order(account, reliance):
    """Orders as the desk has them; ``moved`` lets things happen to one."""

    def make(**terms):
        given = {
            "account": account,
            "instrument": reliance,
            "side": "BUY",
            "quantity": 10,
            "order_type": "LIMIT",
            "price": Decimal("2500.50"),
            "product": "INTRADAY",
            "source": "ADMIN",
            "actor": "olivia",
        } | terms
        order = Order.objects.create(**given)
        return happens(order, Event.APPROVE)

    return make


@pytest.fixture
def sliced(new_order, account, reliance):
    """Twenty-five in slices of ten: one at work, one lapsed, and so it has stopped."""
    reliance.freeze_quantity = 10
    reliance.save()
    terms = {"side": "BUY", "order_type": "LIMIT", "price": Decimal("2500.50")}
    who = {"source": "ADMIN", "actor": "olivia", "cause": "morning plan"}
    whole = Slicing.objects.create(
        account=account,
        instrument=reliance,
        total=25,
        product="INTRADAY",
        validity="DAY",
        intent="ENTRY",
        plan=[10, 10, 5],
        **terms,
        **who,
    )
    part = {"parent": whole, "slice_of": 3}
    working(new_order(**part, slice_number=1), "901")
    happens(new_order(**part, slice_number=2), Event.LAPSE, text="the decision expired")
    slices.settle(whole.pk)
    whole.refresh_from_db()
    assert whole.status == "STOPPED"
    return whole


@pytest.fixture
def bracket(account, reliance, new_order):
    """Its entry is approved; stop and target wait for it."""
    bracket = Bracket.objects.create(
        account=account,
        instrument=reliance,
        side="BUY",
        product="INTRADAY",
        quantity=10,
        style="MANAGED",
        entry_price=Decimal("2500.50"),
        stop_price=Decimal(2480),
        target_price=Decimal(2550),
        source="ADMIN",
        actor="tara",
        cause="breakout",
    )
    for leg in ("ENTRY", "STOP_LOSS", "TARGET"):
        bracket.legs.create(account=account, leg=leg, quantity=10)
    bracket.note("tara", f"asked for: {brackets.in_words(bracket)}")
    order = new_order(request_key=f"{bracket.name}:ENTRY:1")
    bracket.legs.filter(leg="ENTRY").update(order=order, status="SUBMITTED")
    return bracket


@pytest.fixture
def story(bracket, new_order):
    """Lets the bracket live."""
    from tests.desk.bracket_story import Story

    return Story(bracket, new_order)


def happens(order, event, **facts):
    """Let something happen through the one pen; the order comes back as it is then."""
    lifecycle.apply(order.pk, Happening(event=event, origin="test", **facts))
    order.refresh_from_db()
    return order


def working(order, broker_order_id="112233"):
    happens(order, Event.CLAIM)
    happens(order, Event.ACCEPT, broker_order_id=broker_order_id)
    return happens(order, Event.WORK)


def unknown(order):
    happens(order, Event.CLAIM)
    return happens(order, Event.LOSE, text="the answer was lost")


def person(name, *permissions, staff=True, superuser=False):
    user = User.objects.create_user(name, password=PASSWORD, is_staff=staff)
    user.is_superuser = superuser
    user.save()
    for label in permissions:
        app, codename = label.split(".")
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label=app, codename=codename)
        )
    return user


@pytest.fixture
def operator(db):
    return person(
        "olivia",
        "orders.view_order",
        "orders.place_order",
        "orders.cancel_order",
        "orders.modify_order",
        "risk.view_tradingstate",
        "risk.change_tradingstate",
        "alerts.view_heartbeat",
    )


@pytest.fixture
def viewer(db):
    return person("victor", "orders.view_order")


@pytest.fixture
def stranger(db):
    return person("stella")


@pytest.fixture
def owner(db):
    return person("otto", superuser=True)
