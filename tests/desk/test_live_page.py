"""The live page as it is served: rows, filters, order, escaping, a fixed number of queries."""

from __future__ import annotations

import re

import pytest

from apps.orders.states import Event
from tests.desk.conftest import happens, person, unknown, working
from tests.desk.sockets import signed_in

pytestmark = pytest.mark.django_db(transaction=True)


def ids(client, **filters):
    page = client.get("/admin/live/", filters).content.decode()
    return [int(part.split('"')[0]) for part in page.split('<tr id="order-')[1:]]


def test_the_sidebar_starts_with_the_live_desk(client, operator):
    client.force_login(operator)
    page = client.get("/admin/live/").content.decode()
    assert page.index("/admin/live/") < page.index("/admin/place/")
    assert "https://" not in page.replace("https://api.dhan.co", "")


def test_unknown_orders_come_first_then_the_newest(client, operator, new_order):
    lost, older, newer = new_order(), new_order(), new_order()
    unknown(lost)
    client.force_login(operator)
    assert ids(client) == [lost.pk, newer.pk, older.pk]


def test_filters(client, operator, new_order, account):
    open_one, denied = working(new_order(strategy="momentum"), "778899"), new_order()
    happens(denied, Event.WITHDRAW)
    client.force_login(operator)
    assert ids(client, group="working") == [open_one.pk]
    assert ids(client, group="ended") == [denied.pk]
    assert ids(client, account=account.pk) == [denied.pk, open_one.pk]
    assert ids(client, account=account.pk + 1) == []
    assert ids(client, text="moment") == [open_one.pk]
    assert ids(client, text="7788") == [open_one.pk]
    assert ids(client, text="relia") == [denied.pk, open_one.pk]
    assert ids(client, text=open_one.correlation_id) == [open_one.pk]
    assert ids(client, strategy="momentum") == [open_one.pk]
    assert ids(client, strategy="mom") == []
    assert ids(client, source="ADMIN") == [denied.pk, open_one.pk]
    assert ids(client, source="SIGNAL") == []


@pytest.mark.parametrize(
    "filters",
    [{"account": "x"}, {"account": "²"}, {"group": "nonsense"}, {"source": "x"}],
)
def test_nonsense_filters_show_everything(client, operator, new_order, filters):
    new_order()
    client.force_login(operator)
    assert len(ids(client, **filters)) == 1


def test_empty_says_so(client, operator, account):
    client.force_login(operator)
    assert "No orders yet." in client.get("/admin/live/").content.decode()


def test_what_others_wrote_is_escaped(client, operator, new_order):
    order = new_order(strategy="<script>alert(1)</script>", cause="<img src=x onerror=a()>")
    happens(order, Event.WITHDRAW, text="<b onclick=x>reason</b>")
    client.force_login(operator)
    for address in ("/admin/live/", f"/admin/live/order/{order.pk}/"):
        page = client.get(address).content.decode()
        for bad in ("<script>alert", "<img src=x", "<b onclick"):
            assert bad not in page


def test_the_filters_of_an_address_are_chosen_again(client, operator, new_order, account):
    new_order(strategy="momentum")
    client.force_login(operator)
    asked = {"account": account.pk, "group": "working", "source": "DEMO", "strategy": "old <one>"}
    page = client.get("/admin/live/", asked | {"text": "reli"}).content.decode()
    for value in (account.pk, "working", "DEMO", "old &lt;one&gt;"):
        assert f'<option value="{value}" selected>' in page
    assert '<option value="momentum">' in page
    assert 'value="reli"' in page


def test_a_row_says_where_it_came_from_and_what_it_is_for(client, operator, new_order):
    new_order(source="SIGNAL", strategy="momentum", intent="EXIT", test=True)
    client.force_login(operator)
    row = client.get("/admin/live/").content.decode().split("<tbody")[1].split("</tbody")[0]
    for text in (">Signal <small>momentum<", ">exit<", ">test<", "PAPER"):
        assert text in row


ACTS = {
    "modify": "orders.modify_order",
    "cancel": "orders.cancel_order",
    "exit": "orders.place_order",
    "halt": "risk.change_tradingstate",
}


@pytest.mark.parametrize("act", ACTS)
def test_each_act_of_a_row_needs_its_own_permission(act, new_order):
    happens(working(new_order()), Event.PARTIAL, filled_quantity=4)
    needed = ["orders.view_order", "risk.view_tradingstate", ACTS[act]]
    page = signed_in(person("anna", *needed)).get("/admin/live/").content.decode()
    row = page.split("<tbody")[1].split("</tbody")[0]
    assert re.findall(r'data-act="(\w+)"', row) == [act]
    assert [name for name in ACTS if f'<dialog id="desk-{name}"' in page] == (
        [act] if act != "exit" else []
    )


def test_cancel_is_offered_only_to_who_may(client, operator, viewer, new_order):
    new_order()
    client.force_login(operator)
    assert 'data-act="cancel"' in client.get("/admin/live/").content.decode()
    client.force_login(viewer)
    rows = client.get("/admin/live/").content.decode().split("<tbody")[1].split("</tbody")[0]
    assert "data-act=" not in rows


def test_two_hundred_rows_need_as_many_queries_as_one(
    client, operator, new_order, django_assert_num_queries
):
    client.force_login(operator)
    new_order()
    client.get("/admin/live/")
    with django_assert_num_queries(QUERIES):
        assert len(ids(client)) == 1
    for _ in range(204):
        new_order()
    with django_assert_num_queries(QUERIES):
        assert len(ids(client)) == 200


QUERIES = 17


def test_a_halt_is_said_on_every_page(client, operator, account):
    from apps.risk import switch

    switch.halt("paper-one", "<i>limits</i> look wrong", "olivia")
    client.force_login(operator)
    for address in ("/admin/live/", "/admin/switches/", "/admin/place/"):
        page = client.get(address).content.decode()
        assert "paper-one is HALTED" in page
        assert "&lt;i&gt;limits" in page
