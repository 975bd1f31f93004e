"""People outside: a command over Telegram acts in the running house, and alerts get out of it."""

from __future__ import annotations

import pytest

from tests.alerts import bot_api as api
from tests.alerts.bot_api import TOKEN

pytestmark = [pytest.mark.desk, pytest.mark.xdist_group("house")]
ORDER = ("--side", "BUY", "--quantity", "1", "--type", "LIMIT", "--price", "1300")
SET_UP = f"""
from django.contrib.auth.models import User
from apps.alerts.models import Channel
from apps.chat.models import TelegramUser
for name, chat in (("phone", "111"), ("hangs", "666")):
    address = f"tgram://{TOKEN}/{{chat}}"
    Channel.objects.create(name=name, kind="telegram", address=address, commands=chat == "111")
person = User.objects.get(username="risk")
TelegramUser.objects.create(user=person, telegram_id=111, chat_id=111)
"""
TAKE_DOWN = """
from apps.alerts.models import Channel
from apps.chat.models import TelegramUser
Channel.objects.update(enabled=False)
TelegramUser.objects.all().delete()
"""


def script(house, text):
    done = house.manage("shell", "--no-imports", "-c", text)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def phone(house, bot_api):
    """One channel that works, and one that takes everything and never answers."""
    house.until_healthy()
    bot_api.always["sendMessage"] = api.in_chat("666", api.hang)
    script(house, SET_UP)
    bot_api.until(lambda: bot_api.polls, 30)
    yield bot_api
    script(house, TAKE_DOWN)


def test_a_halt_over_telegram_stops_entries_and_everybody_hears_of_it(house, phone):
    phone.writes("/halt paper-2 tried from afar")
    phone.until(lambda: any("paper-2 is HALTED: tried from afar\n" in t for t in phone.texts), 30)
    done = house.manage("place_order", "paper-2", "--instrument", "RELIANCE", *ORDER)
    assert done.returncode == 1
    assert "HALTED" in done.stderr
    phone.until(lambda: any(t.startswith("CRITICAL: paper-2 is HALTED") for t in phone.texts), 30)

    order = house.place(*ORDER, "--wait")
    assert len(house.accepted(order["correlation_id"])) == 1

    assert house.kill("valkey-server") == 1
    script(house, "from apps.alerts.raising import raise_alert; raise_alert('x', 'no bell rings')")
    phone.until(lambda: any("no bell rings" in text for text in phone.texts), 30)
    assert house.kill("manage.py deliver_alerts") == 1
    script(house, "from apps.alerts.raising import raise_alert; raise_alert('y', 'it was killed')")
    phone.until(lambda: any("it was killed" in text for text in phone.texts), 30)
    house.until_healthy()
    assert {str(row["chat_id"]) for row in phone.sent} == {"111"}
