"""A position can be left although its instrument is not in the file any more, or is blocked."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.utils import timezone

from apps.brokers import reporting
from apps.brokers.finding import NotFound, find_instrument
from apps.brokers.models import Instrument
from apps.brokers.port import Intent, Side
from apps.orders.models import Order
from apps.signals.acting import act
from tests.orders.telling import sent, settled
from tests.signals.conftest import source_of  # noqa: F401 - a fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
GONE = {"closed": "GONE", "tradable": False}
BLOCKED = {"blocked": True, "tradable": False}
YESTERDAY = timezone.localdate() - dt.timedelta(days=1)
NOT_LEAVABLE = {
    "reused": {"closed": "REUSED", "tradable": False, "retired_at": timezone.now()},
    "units": {"closed": "UNITS", "tradable": False},
    "over": {"closed": "EXPIRED", "tradable": False, "expiry": YESTERDAY},
    "over and gone": GONE | {"expiry": YESTERDAY},
}


def become(fields):
    Instrument.every.filter(security_id="2885").update(**fields)
    return Instrument.every.get(security_id="2885")


@pytest.fixture
def held(working, account, exchange):
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)
    entry = working(quantity=10)
    exchange.control("fill", orderId=entry.broker_order_id)
    settled(account)
    reporting.store_positions(account)


@pytest.mark.parametrize("fields", [GONE, BLOCKED])
def test_it_is_exited_and_not_entered(held, place, exchange, fields):
    row = become(fields)
    entry = place(instrument=row)
    assert (entry.status, "cannot be traded" in entry.reason) == ("DENIED", True)
    leaving = sent(place(instrument=row, side=Side.SELL, quantity=10, intent=Intent.EXIT))
    assert leaving.status == "SUBMITTED", leaving.reason
    assert len(exchange.accepted(leaving.correlation_id)) == 1


@pytest.mark.parametrize("case", NOT_LEAVABLE)
def test_what_has_no_sure_meaning_is_not(held, place, case):
    row = become(NOT_LEAVABLE[case])
    leaving = place(instrument=row, side=Side.SELL, quantity=10, intent=Intent.EXIT)
    assert leaving.status == "DENIED"


@pytest.mark.parametrize(
    "text", ["RELIANCE", "NSE_EQ:RELIANCE", "NSE_EQ:2885", "nse_eq:2885:reliance"]
)
def test_who_wants_out_finds_it_by_each_of_its_names(reliance, text):
    become(GONE)
    with pytest.raises(NotFound, match="no tradable instrument"):
        find_instrument(text)
    assert find_instrument(text, leaving=True) == reliance


def test_a_tradable_one_of_the_same_name_comes_first(reliance):
    become(GONE)
    again = Instrument.objects.create(
        segment="NSE_EQ",
        security_id="9999",
        symbol="RELIANCE",
        kind="EQUITY",
        lot_size=1,
        tick_size=Decimal("0.05"),
    )
    assert find_instrument("RELIANCE", leaving=True) == again
    assert find_instrument("NSE_EQ:2885", leaving=True) == reliance


def test_two_that_are_gone_are_no_answer(reliance):
    become(GONE)
    Instrument.objects.create(
        segment="BSE_EQ",
        security_id="500325",
        symbol="RELIANCE",
        kind="EQUITY",
        lot_size=1,
        tick_size=Decimal("0.05"),
        **GONE,
    )
    with pytest.raises(NotFound):
        find_instrument("RELIANCE", leaving=True)


def test_a_signal_and_a_command_get_out_of_it(held, account, source_of):  # noqa: F811
    become(GONE)
    sender = source_of(account)
    terms = {"side": "SELL", "quantity": 4, "price": "1400"}
    entry = sender.heard(**terms)
    act(entry.pk)
    entry.refresh_from_db()
    assert entry.fate == "REFUSED"
    leaving = sender.heard(**terms, intent="EXIT")
    act(leaving.pk)
    leaving.refresh_from_db()
    assert (leaving.fate, leaving.reason) == ("ACTED", "")
    words = "place_order alpha --instrument RELIANCE --side SELL --quantity 6 --type LIMIT --price"
    call_command(*words.split(), "1400", "--intent", "exit")
    assert Order.objects.latest("id").status == "APPROVED"
