"""A bot, people linked to it, and the desk they talk to."""

from __future__ import annotations

import pytest
from django.utils import timezone

from apps.brokers.models import PositionsReport
from apps.chat.listening import Ear
from apps.chat.models import TelegramCommand, TelegramUser
from apps.people import roles
from tests.alerts.bot_api import BOT_ID, TOKEN
from tests.alerts.conftest import (  # noqa: F401 - fixtures of the alerts' tests
    bot_api,
    make_channel,
)
from tests.desk.conftest import (  # noqa: F401 - fixtures of the desk's tests
    account,
    desk_switch,
    new_order,
    reliance,
)
from tests.people.conftest import member

ALICE, BOB = 111, 222


@pytest.fixture
def channel(db, bot_api):  # noqa: F811
    return make_channel("phone", commands=True)


@pytest.fixture
def rita(db):
    return linked(member("rita", roles.RISK), ALICE)


@pytest.fixture
def victor(db):
    return linked(member("victor", roles.VIEWER), BOB)


def linked(user, telegram_id, chat_id=None, **fields):
    TelegramUser.objects.create(
        user=user, telegram_id=telegram_id, chat_id=chat_id or telegram_id, **fields
    )
    return user


@pytest.fixture
def ear(channel):
    return Ear(BOT_ID)


@pytest.fixture
def says(ear, bot_api):  # noqa: F811
    """Somebody writes; what the desk answers, or None."""

    def say(text, user=ALICE, **more):
        before = len(bot_api.sent)
        bot_api.writes(text, user=user, **more)
        ear.turn(TOKEN, 0)
        answers = bot_api.texts[before:]
        assert len(answers) <= 1
        return answers[0] if answers else None

    return say


def last():
    return TelegramCommand.objects.first()


def holds(account, *rows, age=0):  # noqa: F811
    """The broker's positions as they were last read."""
    filled = {
        "segment": "NSE_EQ",
        "security_id": "2885",
        "product": "INTRADAY",
        "net_quantity": 0,
        "buy_quantity": 0,
        "sell_quantity": 0,
        "buy_average": "0",
        "sell_average": "0",
        "realised": "0",
        "unrealised": "0",
    }
    return PositionsReport.objects.update_or_create(
        account=account,
        defaults={
            "rows": [filled | row for row in rows],
            "as_of": timezone.now() - timezone.timedelta(seconds=age),
            "mark": 1,
        },
    )[0]
