"""Exiting from an order: the place form, filled in by what its account holds."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone

from apps.brokers.journal import moment
from apps.brokers.models import BrokerAccount, PositionsReport
from apps.orders.models import Order
from apps.orders.states import Event
from apps.risk import book
from tests.desk.conftest import happens, person, working
from tests.desk.sockets import signed_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def olivia(operator):
    return signed_in(operator)


@pytest.fixture
def filled(new_order):
    """BUY 10 RELIANCE, filled, with the hold that every order has."""

    def make(broker_id="1", **terms):
        order = new_order(strategy="momentum", **terms)
        book.hold(order.account, order.request(), None).save()
        return happens(working(order, broker_id), Event.FILL, filled_quantity=order.quantity)

    return make


def read_positions(account, net):
    """The broker's answer to a read that begins now."""
    rows = [
        {
            "segment": "NSE_EQ",
            "security_id": "2885",
            "product": "INTRADAY",
            "net_quantity": net,
        }
    ]
    PositionsReport.objects.update_or_create(
        account=account, defaults={"as_of": timezone.now(), "mark": moment(), "rows": rows}
    )


def form_of(client, order):
    page = client.get(f"/admin/live/order/{order.pk}/exit/").content.decode()
    chosen = dict(re.findall(r'name="(\w+)"[^>]*? value="([^"]*)"', page))
    for name, options in re.findall(r'<select name="(\w+)".*?>(.*?)</select>', page, re.DOTALL):
        picked = re.search(r'value="([^"]*)" selected', options)
        chosen[name] = picked[1] if picked else ""
    return page, chosen


def test_the_form_closes_what_the_account_holds(olivia, filled):
    order = filled()
    read_positions(order.account, 25)
    page, chosen = form_of(olivia, order)
    assert "was long 25 of RELIANCE, intraday" in page
    wanted = {
        "account": str(order.account_id),
        "instrument": "NSE_EQ:2885:RELIANCE",
        "side": "SELL",
        "quantity": "25",
        "product": "INTRADAY",
        "intent": "EXIT",
        "strategy": "momentum",
    }
    assert wanted.items() <= chosen.items()
    assert 'action="/admin/place/"' in page


def test_a_short_position_is_bought_back(olivia, filled):
    order = filled(side="SELL")
    read_positions(order.account, -10)
    page, chosen = form_of(olivia, order)
    assert "was short 10" in page
    assert (chosen["side"], chosen["quantity"]) == ("BUY", "10")


def test_what_other_orders_take_is_left_out(olivia, filled, new_order):
    order = filled()
    read_positions(order.account, 10)
    other = new_order(side="SELL", quantity=4, intent="EXIT")
    book.hold(other.account, other.request(), None).save()
    page, chosen = form_of(olivia, order)
    assert "other orders take all but 6" in page
    assert chosen["quantity"] == "6"


def test_a_fill_younger_than_the_last_read_counts_by_itself(olivia, filled, account):
    read_positions(account, 0)
    order = filled()
    page, chosen = form_of(olivia, order)
    assert "This order filled 10 of RELIANCE, intraday. The position was not read since." in page
    assert (chosen["side"], chosen["quantity"]) == ("SELL", "10")


@pytest.mark.parametrize(("net", "others"), [(0, 0), (10, 10)])
def test_nothing_to_exit_is_said_on_the_orders_page(olivia, filled, new_order, net, others):
    order = filled()
    read_positions(order.account, net)
    if others:
        other = new_order(side="SELL", quantity=others, intent="EXIT")
        book.hold(other.account, other.request(), None).save()
    answer = olivia.get(f"/admin/live/order/{order.pk}/exit/", follow=True)
    assert answer.redirect_chain == [(f"/admin/live/order/{order.pk}/", 302)]
    assert "Nothing to exit" in answer.content.decode()


def test_the_link_is_there_once_an_entry_has_filled(olivia, filled, new_order):
    entry, fresh = filled("1"), working(new_order(), "2")
    leaving = filled("3", side="SELL", intent="EXIT")
    page = olivia.get("/admin/live/").content.decode()
    for order, offered in ((entry, True), (fresh, False), (leaving, False)):
        assert (f"/order/{order.pk}/exit/" in page) == offered


def test_looking_reads_and_changes_nothing(olivia, filled):
    order = filled()
    before = Order.objects.values().get(pk=order.pk)
    account = BrokerAccount.objects.get()
    olivia.get(f"/admin/live/order/{order.pk}/exit/")
    assert Order.objects.values().get() == before
    assert not account.wire_calls.exists()
    assert olivia.post(f"/admin/live/order/{order.pk}/exit/").status_code == 405


def test_it_is_for_who_may_place(filled):
    order = filled()
    watcher = signed_in(person("wanda", "orders.view_order", "orders.cancel_order"))
    assert watcher.get(f"/admin/live/order/{order.pk}/exit/").status_code == 403
    assert "/exit/" not in watcher.get("/admin/live/").content.decode()
