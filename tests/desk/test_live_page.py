"""The live page as it is served: rows, filters, order, escaping, a fixed number of queries."""

from __future__ import annotations

import pytest

from apps.orders.states import Event
from tests.desk.conftest import happens, unknown, working

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


@pytest.mark.parametrize("filters", [{"account": "x"}, {"account": "²"}, {"group": "nonsense"}])
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


QUERIES = 11


def test_a_halt_is_said_on_every_page(client, operator, account):
    from apps.risk import switch

    switch.halt("paper-one", "<i>limits</i> look wrong", "olivia")
    client.force_login(operator)
    for address in ("/admin/live/", "/admin/switches/", "/admin/place/"):
        page = client.get(address).content.decode()
        assert "paper-one is HALTED" in page
        assert "&lt;i&gt;limits" in page
