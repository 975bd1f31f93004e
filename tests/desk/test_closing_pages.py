"""Closing a position and pulling the kill switch from their pages."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.orders import flatten, goals, killing
from apps.orders.goals import Closing
from apps.orders.services import Actor
from apps.people import roles
from apps.risk.models import ExitGoal, KillRun, TradingState
from tests.desk import sockets
from tests.desk.conftest import person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def signed_in(db):
    """A browser of somebody who has this role."""

    def make(role: str):
        user = person(role.replace(" ", "-"))
        roles.give(user, role)
        return sockets.signed_in(user)

    return make


@pytest.fixture
def trader() -> Actor:
    return Actor(name="Alice")


@pytest.fixture
def goal(account, reliance, trader, no_bells) -> ExitGoal:
    wanted = Closing(account=account, instrument=reliance, product="INTRADAY")
    return goals.open_goal(wanted, trader, "the day is over")


@pytest.fixture
def asked(account, reliance):
    return {
        "account": account.pk,
        "instrument": reliance.pk,
        "product": "INTRADAY",
        "owner": "",
        "target": "0",
        "reason": "the day is over",
    }


def test_the_form_names_the_position_and_asking_changes_nothing(signed_in, asked):
    page = signed_in("trader").get(reverse("desk:close"), asked)
    assert "RELIANCE" in page.content.decode()
    assert not ExitGoal.objects.exists()


def test_a_position_is_closed_with_a_reason(signed_in, asked, no_bells):
    answer = signed_in("trader").post(reverse("desk:close"), asked)
    assert answer.url == reverse("desk:closings")
    goal = ExitGoal.objects.get()
    assert (goal.state, goal.reason, goal.target) == ("WORKING", "the day is over", 0)
    assert ("orders.flatten", goal.account_id) in no_bells


def test_without_a_reason_nothing_is_closed_and_the_field_is_named(signed_in, asked):
    page = signed_in("trader").post(reverse("desk:close"), asked | {"reason": ""})
    assert "reason" in page.context["form"].errors
    assert not ExitGoal.objects.exists()


@pytest.mark.parametrize("wrong", [{"account": "x"}, {"instrument": "99999999999999999999"}])
def test_a_position_that_does_not_exist_is_not_found(signed_in, asked, wrong):
    assert signed_in("trader").get(reverse("desk:close"), asked | wrong).status_code == 404


@pytest.mark.parametrize("name", ["close", "closing_withdraw", "closing_go_on"])
def test_a_viewer_closes_nothing(signed_in, goal, name):
    address = reverse(f"desk:{name}", args=[] if name == "close" else [goal.pk])
    assert signed_in("viewer").post(address, {"reason": "x"}).status_code == 403
    goal.refresh_from_db()
    assert goal.state == "WORKING"


def test_what_is_being_closed_and_why_it_waits_is_shown(signed_in, goal, account):
    client = signed_in("viewer")
    flatten.flatten(account)
    for query in ({}, {"rows": "1"}):
        page = client.get(reverse("desk:closings"), query).content.decode()
        assert "1 position being closed" in page
        assert "cannot be read" in page


def test_it_can_be_withdrawn_once(signed_in, goal):
    client, address = signed_in("trader"), reverse("desk:closing_withdraw", args=[goal.pk])
    assert client.get(address).status_code == 200
    assert client.post(address, {"reason": "keep it"}).status_code == 302
    goal.refresh_from_db()
    assert goal.state == "WITHDRAWN"
    assert "over already" in client.post(address, {"reason": "again"}).content.decode()


def test_a_stopped_one_goes_on_with_a_reason(signed_in, goal):
    goals.stop(goal, "it turned round twice")
    address = reverse("desk:closing_go_on", args=[goal.pk])
    signed_in("trader").post(address, {"reason": "looked"})
    goal.refresh_from_db()
    assert goal.state == "WORKING"


WISH = {"scope": "paper-one", "how": "close", "reason": "wrong prices"}


def test_the_kill_switch_asks_once_more_before_it_is_pulled(signed_in, account, no_bells):
    client = signed_in("risk officer")
    page = client.post(reverse("desk:kill"), WISH).content.decode()
    assert "Pull the kill switch?" in page
    assert not KillRun.objects.exists()
    answer = client.post(reverse("desk:kill"), WISH | {"confirmed": "1"})
    run = KillRun.objects.get()
    assert answer.url == reverse("desk:kill_run", args=[run.pk])
    assert TradingState.objects.get(account=account).switch == "HALTED"


@pytest.mark.parametrize("role", ["viewer", "trader"])
def test_who_may_not_turn_switches_pulls_nothing(signed_in, account, role):
    client = signed_in(role)
    page = client.post(reverse("desk:kill"), WISH | {"confirmed": "1"})
    assert page.status_code == 200
    assert not KillRun.objects.exists()


def test_a_drill_without_a_simulated_account_is_refused_with_the_reason(signed_in, account):
    type(account).objects.update(rest_url="https://api.broker.invalid/v2", calendar="exchange")
    page = signed_in("risk officer").post(
        reverse("desk:kill"), WISH | {"drill": "on", "confirmed": "1"}
    )
    assert "a drill needs a simulated account" in page.content.decode()
    assert not KillRun.objects.exists()


def test_progress_and_evidence_are_on_one_page(signed_in, account, no_bells):
    run = killing.kill(account.name, Actor(name="Alice"), "storm", with_positions=True)
    killing.advance_due()
    client = signed_in("viewer")
    for query in ({}, {"rows": "1"}):
        page = client.get(reverse("desk:kill_run", args=[run.pk]), query)
        text = page.content.decode()
        assert "Orders left" in text
        assert "cannot be read" in text
        assert "halted by Alice: storm" in text


@pytest.mark.parametrize("scope", ["desk", "paper-one"])
def test_an_older_use_says_who_goes_on_with_its_accounts(signed_in, account, no_bells, scope):
    older = killing.kill(scope, Actor(name="Alice"), "storm", with_positions=False)
    newer = killing.kill(account.name, Actor(name="Bob"), "again", with_positions=True)
    client = signed_in("viewer")
    text = client.get(reverse("desk:kill_run", args=[older.pk])).content.decode()
    assert "stopping 1 account" in text
    assert f"kill switch #{newer.pk}</a> works it off" in text
    assert "Proved" not in text
    text = client.get(reverse("desk:kill_run", args=[newer.pk])).content.decode()
    assert "stopping 1 account" in text
    assert "0 of 2 reads" in text
    text = client.get(reverse("desk:kill")).content.decode()
    assert f">#{newer.pk}</a>" in text


def test_an_unknown_run_is_not_found(signed_in):
    assert signed_in("viewer").get(reverse("desk:kill_run", args=[7])).status_code == 404
