"""Positions by owner: what is not known is said, and a person's entry explains the rest."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.brokers.models import HoldingsReport, PositionsReport, Quote
from apps.orders import ledger
from apps.orders.models import LedgerPosition, OpeningEntry
from apps.people import roles
from apps.risk.models import ExitGoal
from tests.people.conftest import entered, member

pytestmark = pytest.mark.django_db


@pytest.fixture
def rita():
    return member("rita", roles.RISK)


@pytest.fixture
def said(account, reliance):
    """What an entry's form sends."""

    def make(**different):
        fields = {
            "account": account.pk,
            "instrument": "NSE_EQ:2885:RELIANCE",
            "product": "INTRADAY",
            "owner": "external",
            "quantity": 10,
            "price": "2400.50",
            "reason": "held before the desk",
        }
        return fields | different

    return make


@pytest.fixture
def held(account, reliance, rita):
    entry = OpeningEntry(
        account=account, instrument=reliance, product="INTRADAY", owner="strategy:momentum",
        quantity=10, price=Decimal(2400), reason="held", user=rita,
    )  # fmt: skip
    ledger.book_entry(entry)


def broker_has(account, quantity):
    row = {"segment": "NSE_EQ", "security_id": "2885", "product": "INTRADAY"}
    PositionsReport.objects.create(
        account=account, as_of=timezone.now(), mark=1, rows=[row | {"net_quantity": quantity}]
    )


def shown(client, **asked):
    return client.get(reverse("desk:positions"), asked).content.decode()


def test_an_owners_row_and_the_brokers_net_and_what_is_between(account, held, rita):
    broker_has(account, 12)
    page = shown(entered(rita))
    assert "strategy:momentum" in page
    assert "₹2,400.00" in page
    assert "2 not explained" in page


def test_what_nobody_has_read_is_not_known_and_never_0(account, held, rita):
    page = shown(entered(rita))
    assert "its side is not known" in page
    assert page.count("not known") >= 3
    assert "not explained" not in page


def test_only_a_fresh_price_tells_what_closing_would_earn(account, held, rita, reliance):
    quote = Quote.objects.create(
        instrument=reliance, market=account.market, last_price=Decimal(2410), as_of=timezone.now()
    )
    assert "₹100.00" in shown(entered(rita))
    quote.as_of = timezone.now() - timezone.timedelta(seconds=60)
    quote.save()
    assert "₹100.00" not in shown(entered(rita))


def test_an_entry_is_looked_at_once_more_and_then_booked(account, said, rita):
    client = entered(rita)
    page = client.post(reverse("desk:entry"), said()).content.decode()
    assert "Book this entry?" in page
    assert not OpeningEntry.objects.exists()
    client.post(reverse("desk:entry"), said(confirmed="1"))
    entry = OpeningEntry.objects.get()
    assert (entry.user, entry.quantity, entry.price) == (rita, 10, Decimal("2400.50"))
    assert LedgerPosition.objects.get().net == 10


@pytest.mark.parametrize(
    ("different", "text"),
    [
        ({"owner": "me"}, "strategy: and its name"),
        ({"quantity": 0}, "more or less than 0"),
        ({"price": "0"}, "greater than or equal"),
        ({"instrument": "GHOST"}, "GHOST"),
        ({"reason": ""}, "required"),
    ],
)
def test_a_wrong_entry_books_nothing_and_says_what_would_be_right(said, rita, different, text):
    page = entered(rita).post(reverse("desk:entry"), said(confirmed="1", **different))
    assert text in page.content.decode()
    assert not OpeningEntry.objects.exists()


@pytest.mark.parametrize("role", [roles.VIEWER, roles.TRADER])
def test_others_see_positions_and_book_nothing(account, said, role):
    client = entered(member("olivia", role))
    assert client.get(reverse("desk:positions")).status_code == 200
    assert client.post(reverse("desk:entry"), said(confirmed="1")).status_code == 403
    assert not OpeningEntry.objects.exists()


def test_looking_books_nothing(said, rita):
    entered(rita).get(reverse("desk:entry"), said(confirmed="1"))
    assert not OpeningEntry.objects.exists()


def keeps(account, total=100, **different):
    row = {
        "segment": "NSE_EQ", "security_id": "2885", "isin": "INE002A01018", "symbol": "RELIANCE",
        "total": total, "available": 90, "t1": 5, "collateral": 10, "average": "1200.5",
        "most": 100, "most_available": 90,
    }  # fmt: skip
    now = timezone.now()
    known = {"ddpi": False, "ddpi_as_of": now, "approved": {}, "approved_as_of": now}
    fields = {"as_of": now, "mark": 1, "rows": [row]} | known | different
    return HoldingsReport.objects.create(account=account, **fields)


def test_holdings_are_rows_of_their_own_with_a_way_out(account, reliance):
    keeps(account, approved={"INE002A01018": 25})
    page = shown(entered(member("tom", roles.TRADER)))
    assert 'data-holding="INE002A01018"' in page
    assert "₹1,200.50" in page
    assert "<td>100</td><td>90</td><td>5</td>" in page
    assert "<td>25</td>" in page
    assert "not active" in page
    assert "product=DELIVERY" in page
    assert "product=DELIVERY" not in shown(entered(member("vera", roles.VIEWER)))


def test_holdings_that_nobody_has_read_are_not_known(account, rita):
    page = shown(entered(rita))
    assert "The holdings are not known" in page
    assert "DDPI: not known" in page
    assert "The depository holds nothing" not in page


def test_an_approval_of_another_day_or_of_no_share_is_not_known(account, reliance, rita):
    yesterday = timezone.now() - timezone.timedelta(days=1)
    kept = keeps(account, approved={"INE002A01018": 25}, approved_as_of=yesterday)
    page = shown(entered(rita))
    assert "<td>not known</td>" in page
    assert "not known today" in page
    HoldingsReport.objects.filter(pk=kept.pk).update(as_of=yesterday)
    assert "those of today are not known" in shown(entered(rita))


def test_what_was_sold_out_is_no_row_any_more(account, rita):
    keeps(account, total=0)
    assert "The depository holds nothing" in shown(entered(rita))


def test_closing_a_delivery_position_asks_for_its_holding_too(account, reliance, no_bells):
    client = entered(member("clara", roles.RISK))
    fields = {"account": account.pk, "instrument": reliance.pk, "target": 0, "reason": "out"}
    client.post(reverse("desk:close"), fields | {"product": "DELIVERY"})
    client.post(reverse("desk:close"), fields | {"product": "INTRADAY"})
    assert dict(ExitGoal.objects.values_list("product", "holdings")) == {
        "DELIVERY": True,
        "INTRADAY": False,
    }
