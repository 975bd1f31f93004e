"""Commands from linked people, with the rights of their role at that moment; nothing for others."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import Error, connection, transaction

from apps.alerts.models import Alert
from apps.alerts.raising import raise_alert
from apps.chat.models import TelegramCommand, TelegramUser
from apps.people import roles
from apps.risk import approvals, switch
from apps.risk.models import DESK, Approval, StateChange, TradingState
from tests.alerts.bot_api import ME, TOKEN
from tests.chat.conftest import ALICE, BOB, holds, last, linked
from tests.desk.conftest import unknown, working
from tests.people.conftest import member, with_phone

pytestmark = pytest.mark.django_db


def is_now(scope="paper-one"):
    return TradingState.objects.get(scope=scope).switch


class TestHalt:
    def test_it_halts_at_once_and_says_what_was_halted(self, says, rita, account, new_order):
        working(new_order())
        text = says("/halt paper-one prices look wrong")
        assert text.startswith("paper-one is HALTED: prices look wrong\n")
        assert "1 order(s) still work at the broker" in text
        assert is_now() == "HALTED"
        assert is_now(DESK) == "ACTIVE"
        change = StateChange.objects.get()
        assert (change.user, change.actor) == (rita, "rita, over Telegram")
        assert change.reason == "prices look wrong"

    def test_all_is_the_whole_desk(self, says, rita, account):
        assert says("/halt ALL fire").startswith("The whole desk is HALTED: fire")
        assert is_now(DESK) == "HALTED"

    def test_a_second_halt_says_since_when_and_why(self, says, rita, account):
        says("/halt paper-one first")
        assert says("/halt paper-one second").endswith(": first")
        assert StateChange.objects.count() == 1

    @pytest.mark.parametrize("text", ["/halt", "/halt paper-one", "/halt  \n"])
    def test_account_and_reason_are_needed(self, says, rita, account, text):
        assert says(text) == "Say which account and why: /halt ACCOUNT|all REASON"
        assert (is_now(), is_now(DESK)) == ("ACTIVE", "ACTIVE")
        assert last().outcome == "MISREAD"

    def test_an_unknown_account_is_answered_with_those_that_exist(self, says, rita, account):
        assert "Accounts: paper-one; or say all" in says("/halt paper-two x")

    def test_a_very_long_reason_still_halts(self, says, rita, account):
        says("/halt paper-one " + "x" * 2000)
        assert is_now() == "HALTED"
        assert len(StateChange.objects.get().reason) == 300


class TestResume:
    def test_it_only_asks_for_a_second_person(self, says, rita, account):
        switch.halt("paper-one", "news", "x")
        text = says("/resume paper-one prices are right")
        asked = Approval.objects.get()
        assert text.startswith(f"Asked (approval {asked.pk}). paper-one stays as it is")
        assert is_now() == "HALTED"
        assert (asked.requested_by, asked.reason) == (rita, "prices are right")
        approvals.decide(asked.pk, member("ruben", roles.RISK), "yes", approve=True)
        assert is_now() == "ACTIVE"

    def test_what_is_not_halted_is_not_resumed(self, says, rita, account):
        assert says("/resume paper-one x") == "Not done: paper-one is not halted."
        assert last().outcome == "REFUSED"

    def test_asking_twice_is_told(self, says, rita, account):
        switch.halt("paper-one", "news", "x")
        says("/resume paper-one x")
        assert "waiting for an approval already" in says("/resume paper-one y")
        assert Approval.objects.count() == 1


class TestReading:
    def test_status_says_what_is_not_well_and_what_may_trade(
        self, says, victor, account, new_order
    ):
        switch.halt("paper-one", "news", "x")
        unknown(new_order())
        text = says("/status", user=BOB)
        assert text.startswith("NOT WELL: ")
        assert "1 order(s) UNKNOWN" in text
        assert "critical alert(s) that nobody acknowledged" in text
        assert "paper-one: HALTED (news), 1 live order(s), 1 unknown" in text
        assert "whole desk: ACTIVE" in text

    def test_positions_come_with_their_age(self, says, victor, account, reliance):
        row = {"net_quantity": -1200, "unrealised": "-12.50", "realised": "100.25"}
        holds(account, row, age=5)
        text = says("/positions", user=BOB)
        assert "RELIANCE -1,200 intraday, unrealised -₹12.50" in text
        assert "realised today, without delivery: ₹100.25" in text
        assert "may be wrong" not in text

    def test_old_positions_are_said_to_be_old(self, says, victor, account, reliance):
        holds(account, age=1200)
        assert "20 min old: may be wrong" in says("/positions", user=BOB)

    def test_positions_never_read_are_unknown_and_not_flat(self, says, victor, account):
        text = says("/positions", user=BOB)
        assert text == "paper-one (paper): positions unknown, never read"

    def test_orders_show_unknown_ones_first(self, says, victor, account, new_order):
        unknown(new_order(quantity=7))
        working(new_order(quantity=3))
        lines = says("/orders", user=BOB).splitlines()
        assert lines[0] == "2 order(s) may still trade:"
        assert lines[1] == "paper-one: BUY RELIANCE 0/7 at ₹2500.50, Unknown".replace(
            "2500.50", "2,500.50"
        )
        assert lines[2].endswith("0/3 at ₹2,500.50, Open")

    def test_very_many_orders_still_fit(self, says, victor, account, new_order):
        for _ in range(45):
            new_order()
        text = says("/orders", user=BOB)
        assert text.startswith("45 order(s) may still trade:")
        assert "… and 25 more on the desk" in text

    def test_help_lists_every_command(self, says, victor, account):
        text = says("/help", user=BOB)
        for word in ("/status", "/positions", "/orders", "/halt ACCOUNT|all REASON", "/resume"):
            assert word in text

    @pytest.mark.parametrize("text", ["hello", "/nothing", "halt paper-one x", "/", "//halt all x"])
    def test_anything_else_points_to_help(self, says, rita, account, text):
        assert says(text) == "Not understood. Say /help."
        assert is_now(DESK) == "ACTIVE"

    def test_a_command_for_this_bot_by_name(self, says, victor, account):
        name = ME["username"]
        assert "/halt" in says(f"/help@{name}", user=BOB)
        assert says("/help@SomeOtherBot", user=BOB) == "Not understood. Say /help."


class TestAcknowledging:
    def test_it_ends_the_escalation_in_this_persons_name(self, says, rita, account):
        raise_alert("a", "look")
        alert = Alert.objects.get(key="a")
        assert "Nobody else is woken" in says(f"/ack {alert.pk} on my way")
        alert.refresh_from_db()
        assert (alert.acknowledged_by, alert.acknowledged_reason) == (rita, "on my way")
        assert "no open alert" in says(f"/ack {alert.pk}")

    @pytest.mark.parametrize("text", ["/ack", "/ack one", "/ack ٣", "/ack 9999999999999999999999"])
    def test_a_number_is_needed(self, says, rita, account, text):
        assert says(text) == "Say which: /ack ALERT [REASON]"


class TestRights:
    @pytest.mark.parametrize("text", ["/halt paper-one x", "/resume paper-one x", "/ack 1"])
    @pytest.mark.parametrize("role", [roles.VIEWER, roles.TRADER])
    def test_who_may_not_on_the_desk_may_not_here(self, says, account, text, role):
        linked(member("vera", role), 333)
        raise_alert("a", "look")
        answer = says(text, user=333)
        assert answer.startswith("Not done: you may not do that (")
        assert is_now() == "ACTIVE"
        assert last().outcome == "REFUSED"

    def test_rights_are_those_of_this_moment(self, says, rita, account):
        roles.give(rita, roles.VIEWER)
        assert "may not do that" in says("/halt paper-one x")
        roles.give(rita, roles.RISK)
        assert "is HALTED" in says("/halt paper-one x")

    @pytest.mark.parametrize("fact", ["is_active", "is_staff"])
    def test_who_may_not_use_the_desk_may_nothing(self, says, rita, account, fact):
        User.objects.filter(pk=rita.pk).update(**{fact: False})
        assert says("/status") == "Not done: you may not use the desk."

    def test_without_the_second_factor_nothing(self, says, rita, account, settings):
        settings.REQUIRE_SECOND_FACTOR = True
        assert "second factor" in says("/halt paper-one x")
        assert is_now() == "ACTIVE"
        with_phone(rita)
        assert "is HALTED" in says("/halt paper-one x")


class TestStrangers:
    def test_no_answer_and_one_alert(self, says, rita, account, bot_api):
        assert says("/halt all x", user=666) is None
        assert says("/status", user=666) is None
        assert bot_api.sent == []
        assert is_now(DESK) == "ACTIVE"
        alert = Alert.objects.get()
        assert (alert.key, alert.times) == ("telegram:strangers", 2)
        assert "Telegram user 666 (alice) wrote" in alert.text
        assert [row.outcome for row in TelegramCommand.objects.all()] == ["STRANGER"] * 2
        assert last().user is None

    def test_a_name_cannot_pass_for_another_line_of_the_alert(self, ear, bot_api, account):
        name = {"id": 666, "is_bot": False, "first_name": "x\nCRITICAL: sell\u202e all"}
        bot_api.writes("/start", odd={"from": name})
        ear.turn(TOKEN, 0)
        assert "user 666 (x CRITICAL: sell all)" in Alert.objects.get().text

    def test_a_linked_person_in_another_chat_is_a_stranger(self, says, rita, account):
        assert says("/halt all x", chat=-1005) is None
        assert "in chat -1005" in Alert.objects.get().text
        linked(rita, ALICE, chat_id=-1005)
        assert "is HALTED" in says("/halt all x", chat=-1005)

    def test_a_link_that_was_switched_off_is_none(self, says, rita, account):
        TelegramUser.objects.update(enabled=False)
        assert says("/halt all x") is None
        assert is_now(DESK) == "ACTIVE"

    def test_a_flood_of_strangers_does_not_fill_the_table(self, ear, bot_api, account):
        for _ in range(60):
            bot_api.writes("/start", user=666)
        ear.turn(TOKEN, 0)
        assert TelegramCommand.objects.count() == 50
        assert Alert.objects.get().times == 60


class TestAge:
    def test_an_old_command_is_answered_and_not_done(self, says, rita, account):
        answer = says("/halt paper-one x", ago=600)
        assert answer.startswith("Not done: you sent this 10 min ago.")
        assert is_now() == "ACTIVE"
        assert last().outcome == "TOO_OLD"

    def test_a_minute_is_young_enough(self, says, rita, account):
        assert "is HALTED" in says("/halt paper-one x", ago=60)


class TestHistory:
    def test_who_what_when_and_the_result_are_kept(self, says, rita, account):
        says("/halt paper-one x")
        command = last()
        assert (command.user, command.text, command.outcome) == (rita, "/halt paper-one x", "DONE")
        assert command.sent_at <= command.heard_at <= command.answered_at <= command.told_at

    @pytest.mark.parametrize(
        "change", [{"text": "/status"}, {"user": None}, {"outcome": "REFUSED"}, {"told_at": None}]
    )
    def test_nothing_of_it_can_be_changed(self, says, rita, account, change):
        says("/halt paper-one x")
        with pytest.raises(Error, match="command"), transaction.atomic():
            TelegramCommand.objects.update(**change)

    def test_nor_deleted(self, says, rita, account):
        says("/help")
        with pytest.raises(Error, match="history"), transaction.atomic():
            TelegramCommand.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM chat_telegramcommand")
            assert cursor.fetchone() == (1,)
