"""One house for the whole run: PostgreSQL, Valkey, exchange, web, workers, beat, feeds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.alerts.bot_api import BotApi
from tests.house import House, open_house


@pytest.fixture(scope="session")
def bot_api() -> Iterator[BotApi]:
    with BotApi() as api:
        yield api


@pytest.fixture(scope="session")
def house(bot_api: BotApi) -> Iterator[House]:
    with open_house(
        CALL_TIMEOUT="2",
        SEND_WITHIN="1",
        SETTLE_TIME="2",
        LOG_LEVEL="INFO",
        TELEGRAM_API_URL=bot_api.url,
        ALERT_FIRST_PAUSE="0.5",
    ) as running:
        yield running
