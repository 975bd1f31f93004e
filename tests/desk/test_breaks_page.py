"""The page of breaks: seen by all, taken on and explained by those who may."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.orders.models import Break
from apps.people import roles
from tests.people.conftest import entered, member

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(account):
    def make(**different):
        now = timezone.now()
        fields = {
            "account": account,
            "kind": "POSITION",
            "subject": "NSE_EQ:2885:INTRADAY",
            "about": "position in NSE_EQ:2885 INTRADAY",
            "ours": {"net": 5},
            "theirs": {"net": 7},
            "first_seen": now,
            "last_seen": now,
        }
        return Break.objects.create(**(fields | different))

    return make


@pytest.fixture
def rita():
    return member("rita", roles.RISK)


def shown(client, **asked):
    return client.get(reverse("desk:breaks"), asked).content.decode()


def test_both_sides_are_shown(made, rita):
    made()
    page = shown(entered(rita))
    assert "net <b>5</b>" in page
    assert "net <b>7</b>" in page
    assert "Nobody looks after it yet" in page


def test_filters_choose(made, rita):
    made()
    made(kind="FILL", subject="x", about="a trade", resolution="GONE", gone_at=timezone.now())
    client = entered(rita)
    assert "a trade" not in shown(client)
    assert "a trade" in shown(client, state="over")
    assert "a trade" in shown(client, state="all", kind="FILL")
    assert "position in" not in shown(client, state="all", kind="FILL")
    assert "position in" not in shown(client, account="999")


def test_taking_on_and_explaining_are_kept_with_the_name(made, rita):
    row, client = made(), entered(rita)
    client.post(reverse("desk:take_on_break", args=[row.pk]))
    said = {"reason": "bonus shares", "seen": row.figures}
    assert f'name="seen" value="{row.figures}"' in shown(client)
    client.post(reverse("desk:explain_break", args=[row.pk]), said)
    row.refresh_from_db()
    assert (row.assigned_to, row.resolved_by) == (rita, rita)
    assert (row.resolution, row.reason) == ("EXPLAINED", "bonus shares")
    assert [note.actor for note in row.notes.all()] == ["rita", "rita"]


def test_other_figures_than_those_that_were_shown_are_not_explained(made, rita):
    row, client = made(), entered(rita)
    said = {"reason": "bonus shares", "seen": row.figures}
    Break.objects.update(ours={"net": 60})
    address = reverse("desk:explain_break", args=[row.pk])
    for post in (said, {"reason": "bonus shares"}):
        page = client.post(address, post, follow=True).content.decode()
        assert "its figures are others by now" in page
    row.refresh_from_db()
    assert row.is_open


def test_without_a_reason_nothing_is_explained(made, rita):
    row = made()
    client = entered(rita)
    client.post(reverse("desk:explain_break", args=[row.pk]), {"reason": " "})
    row.refresh_from_db()
    assert row.is_open


def test_one_that_is_over_stays_as_it_is(made, rita):
    row = made(resolution="GONE", gone_at=timezone.now())
    entered(rita).post(reverse("desk:explain_break", args=[row.pk]), {"reason": "late"})
    row.refresh_from_db()
    assert row.resolution == "GONE"


@pytest.mark.parametrize("role", [roles.VIEWER, roles.TRADER])
def test_others_look_and_explain_nothing(made, role):
    row, client = made(), entered(member("olivia", role))
    assert "net <b>5</b>" in shown(client)
    address = reverse("desk:explain_break", args=[row.pk])
    assert client.post(address, {"reason": "because"}).status_code == 403
    row.refresh_from_db()
    assert row.is_open


def test_open_ones_are_counted_in_the_sidebar_and_on_the_start_page(made, rita):
    made()
    page = entered(rita).get(reverse("desk:front")).content.decode()
    assert "1 open break" in page
