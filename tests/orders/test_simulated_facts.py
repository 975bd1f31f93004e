"""What a simulated exchange made up of an instrument decides about no live order."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.alerts.models import Alert
from apps.brokers.importing import Wish, import_published
from apps.brokers.models import BrokerAccount, Instrument, InstrumentImport
from apps.brokers.port import Intent, Side

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("open_market")]
MADE_UP = "the instruments are a simulated exchange's"


@pytest.fixture
def live(account, settings):
    settings.LIVE_TRADING = True
    BrokerAccount.objects.filter(pk=account.pk).update(
        rest_url="https://api.dhan.co/v2",
        feed_url="wss://api-order-update.dhan.co",
        calendar="exchange",
        armed_until=timezone.now() + timedelta(hours=1),
    )
    account.refresh_from_db()
    return account


@pytest.fixture
def demo_master(exchange, settings):
    """The instruments of a demo, read from its exchange."""
    settings.SIMEXCHANGE_URL = exchange.url
    row = import_published(Wish(actor="start"))
    assert row.outcome == "APPLIED", row.why
    return row


def test_a_live_entry_by_made_up_instruments_is_denied(demo_master, live, place):
    share = Instrument.objects.get(segment="NSE_EQ", symbol="RELIANCE")
    assert MADE_UP in place(instrument=share).reason


def test_a_live_exit_is_not_held_back_by_them(demo_master, live, place):
    share = Instrument.objects.get(segment="NSE_EQ", symbol="RELIANCE")
    order = place(instrument=share, side=Side.SELL, intent=Intent.EXIT)
    assert MADE_UP not in order.reason


def test_a_simulated_account_trades_by_them(account, demo_master, place):
    share = Instrument.objects.get(segment="NSE_EQ", symbol="RELIANCE")
    assert place(instrument=share).status == "APPROVED"


def test_the_brokers_own_file_ends_it(demo_master, live, place, reliance):
    InstrumentImport.objects.create(
        broker="dhan",
        source="https://images.dhan.co/api-data/api-scrip-master-detailed.csv",
        outcome="APPLIED",
        rows=200_000,
    )
    assert MADE_UP not in place().reason


def test_a_simulated_file_never_overwrites_what_a_live_account_trades_by(
    exchange, settings, live, reliance
):
    settings.SIMEXCHANGE_URL = exchange.url
    before = list(Instrument.every.values())
    row = import_published(Wish(actor="schedule"))
    assert row.outcome == "REFUSED"
    assert "this is a simulated exchange's file, and alpha trades at the real one" in row.why
    assert list(Instrument.every.values()) == before
    assert Alert.objects.get().key == "instruments:refused:dhan"
    BrokerAccount.objects.update(enabled=False)
    assert import_published(Wish(actor="schedule")).outcome == "APPLIED"
