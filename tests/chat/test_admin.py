"""Links between two names of one person: checked, and written down like every way in."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from apps.chat.models import TelegramUser
from apps.people import roles
from apps.people.models import PersonChange
from tests.chat.conftest import linked
from tests.people.conftest import entered, member

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin():
    return entered(member("adam", roles.ADMINISTRATOR))


def add(client, user, telegram_id="111", **fields):
    form = {"user": user.pk, "telegram_id": telegram_id, "enabled": "on", "chat_id": ""}
    return client.post("/admin/chat/telegramuser/add/", form | fields)


def test_an_empty_chat_is_the_private_one(admin):
    assert add(admin, member("rita", roles.RISK)).status_code == 302
    assert TelegramUser.objects.get().chat_id == 111


def test_a_group_may_be_named(admin):
    add(admin, member("rita", roles.RISK), chat_id="-1005")
    assert TelegramUser.objects.get().chat_id == -1005


@pytest.mark.parametrize("number", ["0", "-5", "x", "", str(2**60)])
def test_a_wrong_number_is_named(admin, number):
    answer = add(admin, member("rita", roles.RISK), number)
    assert "telegram_id" in answer.context["adminform"].form.errors
    assert not TelegramUser.objects.exists()


def test_only_people_of_the_desk_can_be_linked(admin):
    answer = add(admin, User.objects.create_user("nobody"))
    assert "user" in answer.context["adminform"].form.errors


def test_one_telegram_user_is_one_person_in_a_chat(admin):
    linked(member("rita", roles.RISK), 111)
    answer = add(admin, member("ruben", roles.RISK))
    assert answer.status_code == 200
    assert TelegramUser.objects.count() == 1


def test_linking_changing_and_unlinking_are_written_down(admin):
    rita, ruben = member("rita", roles.RISK), member("ruben", roles.RISK)
    add(admin, rita)
    link = TelegramUser.objects.get()
    form = {"user": ruben.pk, "telegram_id": 111, "chat_id": 111}
    admin.post(f"/admin/chat/telegramuser/{link.pk}/change/", form)
    admin.post(f"/admin/chat/telegramuser/{link.pk}/delete/", {"post": "yes"})
    rows = PersonChange.objects.order_by("id").values_list(
        "person__username", "what", "by__username"
    )
    assert list(rows) == [
        ("rita", "Telegram linked", "adam"),
        ("rita", "Telegram unlinked", "adam"),
        ("ruben", "Telegram linked", "adam"),
        ("ruben", "Telegram unlinked", "adam"),
    ]
    assert not TelegramUser.objects.exists()
