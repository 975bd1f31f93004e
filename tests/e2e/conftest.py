"""One house for the whole run: PostgreSQL, Valkey, exchange, web, workers, beat, feeds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.house import House, open_house


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    with open_house(
        CALL_TIMEOUT="2", SEND_WITHIN="1", SETTLE_TIME="2", LOG_LEVEL="INFO"
    ) as running:
        yield running
