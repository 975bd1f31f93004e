"""What people see of imports and brackets: who may, what it says, and that nothing changes."""

from __future__ import annotations

import csv

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from apps.orders.models import Bracket, BracketLeg, ImportedRow, LeftOut, LegacyImport, Order
from apps.people import roles
from tests.legacy.past import Past, a_bracket, order
from tests.people.conftest import entered, member

pytestmark = pytest.mark.django_db(transaction=True)
MODELS = (Bracket, BracketLeg, LegacyImport, ImportedRow, LeftOut)


@pytest.fixture
def brought(migrate, tmp_path) -> LegacyImport:
    past = a_bracket(Past.second(tmp_path / "<old> copy.sqlite3"))
    migrate(past.orders(order("9", status="=HALF"), order("10", status="PENDING")).done())
    return LegacyImport.objects.get()


@pytest.fixture
def viewer():
    return entered(member("vera", roles.VIEWER))


def page_of(row) -> str:
    return reverse(f"admin:orders_{row._meta.model_name}_change", args=[row.pk])


@pytest.mark.parametrize("model", MODELS)
def test_every_list_and_row_opens_and_nothing_can_be_changed(brought, viewer, model):
    answer = viewer.get(reverse(f"admin:orders_{model._meta.model_name}_changelist"))
    assert answer.status_code == 200
    assert "Add " not in answer.content.decode()
    row = model.objects.first()
    page = viewer.get(page_of(row))
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    assert viewer.post(page_of(row), {}).status_code == 403
    assert entered(member("root", superuser=True)).post(page_of(row), {}).status_code == 403


def test_who_may_not_see_orders_sees_no_import(brought):
    stranger = entered(member("nobody"))
    User.objects.filter(username="nobody").update(is_staff=True)
    for address in (
        reverse("admin:orders_legacyimport_changelist"),
        reverse("admin:orders_legacyimport_report", args=[brought.pk]),
        page_of(brought),
    ):
        assert stranger.get(address).status_code == 403


def test_the_page_says_file_counts_accounts_and_who(brought, viewer):
    page = viewer.get(page_of(brought)).content.decode()
    assert "&lt;old&gt; copy.sqlite3" in page
    assert brought.sha256 in page
    assert "(command line)" in page
    row = '<th scope="row">orders</th><td>5</td><td>4</td><td>0</td><td>1</td>'
    assert row in page


def test_the_report_has_every_row_that_stayed_behind(brought, viewer):
    answer = viewer.get(reverse("admin:orders_legacyimport_report", args=[brought.pk]))
    assert "attachment" in answer["Content-Disposition"]
    rows = list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))
    left = [row for row in rows if row["what"] == "left out"]
    assert [(row["table"], row["id"]) for row in left] == [("orders", "9")]
    assert "status '=HALF' is not a word" in left[0]["reason"]
    assert [row["read"] for row in rows if row["table"] == "bracket_order_legs"] == ["3"]


def test_the_report_is_read_and_not_posted(brought):
    client = entered(member("root", superuser=True))
    assert (
        client.post(reverse("admin:orders_legacyimport_report", args=[brought.pk])).status_code
        == 405
    )


def test_an_imported_order_is_found_and_its_page_offers_nothing(brought, viewer):
    trader = entered(member("tara", roles.TRADER))
    found = trader.get(reverse("admin:orders_order_changelist"), {"q": "copy-10"})
    assert "RELIANCE" in found.content.decode()
    old = Order.every.get(broker_order_id="10")
    page = trader.get(reverse("desk:order", args=[old.pk])).content.decode()
    assert "Another system&#x27;s order, kept to be looked up" in page
    assert "PENDING when the other system last wrote" in page
    for act in ("cancel", "modify"):
        assert trader.get(reverse(f"desk:{act}", args=[old.pk])).status_code == 404
        assert (
            trader.post(reverse(f"desk:{act}", args=[old.pk]), {"reason": "x"}).status_code == 404
        )
    assert 'data-act="exit"' not in page


def test_the_live_desk_does_not_show_it(brought):
    trader = entered(member("tara", roles.TRADER))
    page = trader.get(reverse("desk:live")).content.decode()
    for name in Order.every.values_list("correlation_id", flat=True):
        assert name not in page
