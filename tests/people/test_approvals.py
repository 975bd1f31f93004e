"""Four eyes on the switches, and what the database refuses by itself."""

from __future__ import annotations

import io
import threading
from datetime import timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import Error, connection, transaction
from django.utils import timezone

from apps.alerts.models import Alert
from apps.desk.navigation import _COUNTS
from apps.orders.sweep import sweep
from apps.people import roles
from apps.risk import approvals, resuming, switch
from apps.risk.approvals import NotAllowed, NotOpen
from apps.risk.models import DESK, Approval, StateChange, TradingState
from tests.people.conftest import entered, fresh, member

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def asked(desk_switch, rita):
    switch.halt(DESK, "news", "test")
    return resuming.ask(DESK, rita, "news is out")


def is_now(scope=DESK):
    return TradingState.objects.get(scope=scope).switch


def test_two_people_resume_and_both_are_named(asked, rita, ruben):
    done = approvals.decide(asked.pk, ruben, "agreed", approve=True)
    assert (done.decision, done.executed_at is not None) == ("APPROVED", True)
    assert is_now() == "ACTIVE"
    change = StateChange.objects.first()
    assert "rita" in change.actor
    assert "ruben" in change.actor
    assert (change.user, change.approval, change.reason) == (ruben, done, "news is out / agreed")


def test_nobody_resumes_alone(asked, rita, owner):
    with pytest.raises(NotAllowed, match="yourself"):
        approvals.decide(asked.pk, rita, "x", approve=True)
    switch.tighten("desk", "HALTED", "x", "x")
    approvals.withdraw(asked.pk, "rita", "x")
    own = resuming.ask(DESK, owner, "I am the superuser")
    with pytest.raises(NotAllowed, match="yourself"):
        approvals.decide(own.pk, owner, "x", approve=True)
    assert is_now() == "HALTED"


@pytest.mark.parametrize("who", [roles.VIEWER, roles.TRADER, ""])
def test_who_may_not_decide_cannot(who, asked):
    with pytest.raises(NotAllowed):
        approvals.decide(asked.pk, member("xaver", who), "x", approve=True)
    assert is_now() == "HALTED"


def test_who_may_not_ask_cannot(desk_switch, tara):
    switch.halt(DESK, "news", "test")
    with pytest.raises(NotAllowed):
        resuming.ask(DESK, tara, "please")
    assert not Approval.objects.exists()


def test_refused_is_over(asked, ruben):
    done = approvals.decide(asked.pk, ruben, "not yet", approve=False)
    assert (done.decision, done.executed_at) == ("REFUSED", None)
    with pytest.raises(NotOpen):
        approvals.decide(asked.pk, ruben, "now", approve=True)
    assert is_now() == "HALTED"


def alert_of(approval):
    return Alert.objects.get(key=f"approval:{approval.pk}")


def test_the_second_person_hears_of_it_once_and_until_it_is_decided(asked, rita, ruben):
    alert = alert_of(asked)
    assert (alert.open, alert.times, alert.severity) == (True, 1, "WARNING")
    for word in ("rita", "Resume the whole desk", "news is out", "until "):
        assert word in alert.text
    approvals.decide(asked.pk, ruben, "agreed", approve=True)
    alert = alert_of(asked)
    assert not alert.open
    assert alert.acknowledged_reason == "Approved ruben: agreed"


def test_an_alert_of_an_approval_ends_with_it_however_it_ends(asked, rita, ruben):
    approvals.withdraw(asked.pk, "rita", "no longer")
    assert not alert_of(asked).open
    again = resuming.ask(DESK, rita, "please")
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        sweep()
    assert not alert_of(again).open
    third = resuming.ask(DESK, rita, "please")
    approvals.decide(third.pk, ruben, "no", approve=False)
    assert not alert_of(third).open


def test_resuming_closes_the_alert_of_the_halt(asked, ruben):
    halted = Alert.objects.get(key="switch:desk")
    assert halted.open
    approvals.decide(asked.pk, ruben, "agreed", approve=True)
    halted.refresh_from_db()
    assert not halted.open


def test_a_request_that_is_undone_calls_nobody(desk_switch, rita):
    switch.halt(DESK, "news", "test")
    with transaction.atomic():
        resuming.ask(DESK, rita, "please")
        transaction.set_rollback(True)
    assert not Alert.objects.filter(key__startswith="approval:").exists()


def test_the_same_is_not_asked_twice_but_again_after_its_end(asked, rita, ruben):
    with pytest.raises(NotOpen):
        resuming.ask(DESK, ruben, "me too")
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        resuming.ask(DESK, rita, "again")
    asked.refresh_from_db()
    assert asked.decision == "EXPIRED"


def test_what_is_not_halted_is_not_asked_for(desk_switch, rita):
    with pytest.raises(NotOpen):
        resuming.ask(DESK, rita, "x")
    with pytest.raises(switch.NoRiskState):
        resuming.ask("nowhere", rita, "x")


def test_after_its_expiry_nobody_approves(asked, ruben):
    late = time_machine.travel(timezone.now() + timedelta(minutes=10, seconds=1))
    with late, pytest.raises(NotOpen):
        approvals.decide(asked.pk, ruben, "late", approve=True)
    asked.refresh_from_db()
    assert (asked.decision, asked.decided_by) == ("EXPIRED", None)
    assert is_now() == "HALTED"


def test_the_sweep_expires_what_nobody_decides(asked):
    with time_machine.travel(timezone.now() + timedelta(minutes=10, seconds=1)):
        sweep()
    asked.refresh_from_db()
    assert asked.decision == "EXPIRED"


def lose_role(user):
    user.groups.clear()


def leave(user):
    user.is_active = False
    user.save()


@pytest.mark.parametrize("loss", [lose_role, leave])
@pytest.mark.parametrize("who", ["rita", "ruben"])
def test_rights_lost_after_the_approval_stop_it(who, loss, asked, rita, ruben):
    approvals.record(asked.pk, ruben, "agreed", approve=True)
    loss({"rita": rita, "ruben": ruben}[who])
    done = approvals.carry_out(asked.pk)
    assert done.result == f"not done: {who} may no longer do this"
    assert is_now() == "HALTED"


def test_a_switch_turned_meanwhile_is_another_question(asked, ruben):
    again = approvals.decide(asked.pk, ruben, "agreed", approve=True)
    assert again.result == "desk: HALTED → ACTIVE"
    switch.halt(DESK, "first", "test")
    asked = resuming.ask(DESK, member("rosa", roles.RISK), "x")
    TradingState.objects.filter(scope=DESK).update(changed_at=timezone.now(), reason="second")
    done = approvals.decide(asked.pk, ruben, "agreed", approve=True)
    assert done.result == "not done: the switch was turned again since it was asked"
    assert is_now() == "HALTED"


def test_the_sweep_carries_out_what_its_decider_could_not(asked, ruben):
    approvals.record(asked.pk, ruben, "agreed", approve=True)
    with time_machine.travel(timezone.now() + timedelta(seconds=5)):
        sweep()
    assert is_now() == "ACTIVE"


def test_an_old_yes_is_no_yes(asked, ruben):
    approvals.record(asked.pk, ruben, "agreed", approve=True)
    with time_machine.travel(timezone.now() + timedelta(seconds=90)):
        sweep()
    asked.refresh_from_db()
    assert asked.result.startswith("not done")
    assert is_now() == "HALTED"


def test_two_at_once_do_it_once(asked, rita, ruben):
    deciders = [ruben, member("rosa", roles.RISK), member("rolf", roles.RISK)]
    start, answers = threading.Barrier(len(deciders)), []

    def decide(user):
        start.wait()
        try:
            approvals.decide(asked.pk, user, "agreed", approve=True)
            answers.append("done")
        except NotOpen:
            answers.append("late")
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=[user]) for user in deciders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["done", "late", "late"]
    assert StateChange.objects.filter(after="ACTIVE").count() == 1


def test_carrying_out_twice_at_once_does_it_once(asked, ruben):
    approvals.record(asked.pk, ruben, "agreed", approve=True)
    start = threading.Barrier(3)

    def go():
        start.wait()
        approvals.carry_out(asked.pk)
        connection.close()

    threads = [threading.Thread(target=go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert StateChange.objects.filter(after="ACTIVE").count() == 1


def refused(sql, *values):
    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


def test_the_database_refuses_what_the_code_would_not_do(asked, rita, ruben):
    yes = (
        "UPDATE risk_approval SET decision = 'APPROVED', decided_at = now(), decided_by_id = %s"
        " WHERE id = %s"
    )
    refused(yes, rita.pk, asked.pk)
    refused(yes, None, asked.pk)
    refused("UPDATE risk_approval SET executed_at = now() WHERE id = %s", asked.pk)
    refused("UPDATE risk_approval SET requested_by_id = %s WHERE id = %s", ruben.pk, asked.pk)
    refused("UPDATE risk_approval SET payload = '{}' WHERE id = %s", asked.pk)
    refused("UPDATE risk_approval SET expires_at = now() WHERE id = %s", asked.pk)
    refused("DELETE FROM risk_approval WHERE id = %s", asked.pk)
    copied = "kind, payload, requested_by_id, reason, requested_at, expires_at, result"
    refused(
        f"INSERT INTO risk_approval ({copied}, subject, decision, decided_by_id, decided_at,"
        f" decision_reason) SELECT {copied}, 'x', 'APPROVED', {ruben.pk}, now(), ''"
        " FROM risk_approval WHERE id = %s",
        asked.pk,
    )
    approvals.decide(asked.pk, ruben, "no", approve=False)
    refused(yes, ruben.pk, asked.pk)
    refused("UPDATE risk_approval SET decision = '' WHERE id = %s", asked.pk)


def test_the_database_relaxes_no_switch_without_an_approval(asked, ruben):
    relax = "UPDATE risk_tradingstate SET switch = %s WHERE scope = 'desk'"
    refused(relax, "ACTIVE")
    refused(relax, "REDUCING")
    approvals.decide(asked.pk, ruben, "agreed", approve=True)
    switch.halt(DESK, "again", "test")
    refused(relax, "ACTIVE")
    refused("UPDATE risk_statechange SET approval_id = %s WHERE approval_id IS NULL", asked.pk)


def test_the_pages_ask_and_decide(desk_switch, rita, ruben):
    switch.halt(DESK, "news", "test")
    maker, checker = entered(rita), entered(ruben)
    wish = {"scope": "desk", "to": "resume", "reason": "news is out"}
    maker.post("/admin/switches/turn/", wish)
    asked = Approval.objects.get()
    own = maker.get("/admin/approvals/").content.decode()
    assert "you asked for it yourself" in own
    assert "Yes, approve" not in own
    page = checker.get("/admin/approvals/").content.decode()
    assert "Resume the whole desk" in page
    assert "news is out" in page
    answer = {"answer": "approve", "reason": ""}
    checker.post(f"/admin/approvals/{asked.pk}/decide/", answer)
    assert is_now() == "HALTED"
    checker.post(f"/admin/approvals/{asked.pk}/decide/", answer | {"reason": "agreed"})
    assert is_now() == "ACTIVE"
    history = checker.get("/admin/approvals/").content.decode()
    assert "Nothing waits" in history
    assert "agreed" in history


def test_only_its_maker_withdraws_a_request_on_the_page(asked, rita, ruben):
    address = f"/admin/approvals/{asked.pk}/withdraw/"
    assert entered(ruben).post(address, {"reason": "x"}).status_code == 404
    entered(rita).post(address, {"reason": "not needed"})
    asked.refresh_from_db()
    assert (asked.decision, asked.decision_reason) == ("WITHDRAWN", "rita: not needed")


def test_the_sidebar_counts_what_waits(asked, ruben):
    assert _COUNTS["Approvals"]() == 1
    approvals.decide(asked.pk, ruben, "no", approve=False)
    assert _COUNTS["Approvals"]() == 0


def command(*words):
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_the_command_line_only_asks(desk_switch, rita, tara):
    switch.halt(DESK, "news", "test")
    with pytest.raises(CommandError):
        command("resume", "--all", "--reason", "x")
    with pytest.raises(CommandError, match="may not"):
        command("resume", "--all", "--reason", "x", "--as", "tara")
    with pytest.raises(CommandError, match="nobody"):
        command("resume", "--all", "--reason", "x", "--as", "nemo")
    assert "second person" in command("resume", "--all", "--reason", "x", "--as", "rita")
    assert is_now() == "HALTED"
    assert Approval.objects.get().requested_by == fresh(rita)


def test_halting_as_somebody_needs_their_right(desk_switch, rita, tara):
    with pytest.raises(CommandError, match="may not"):
        command("halt", "--all", "--reason", "x", "--as", "tara")
    assert is_now() == "ACTIVE"
    command("halt", "--all", "--reason", "x", "--as", "rita")
    change = StateChange.objects.get()
    assert change.user == rita
    assert change.actor.startswith("rita, by ")
