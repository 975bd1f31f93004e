"""The servers that every test run starts for itself."""

from __future__ import annotations

import os

import psycopg
import pytest
import redis

from supervisor.throwaway import MARK
from tests.services import own_database_number
from tests.supervisor.conftest import address_in


def test_database_url_leads_to_a_utf8_postgresql_without_tcp():
    with psycopg.connect(**address_in(os.environ["DATABASE_URL"])) as connection:
        shown = [
            connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("server_encoding", "listen_addresses", "fsync", "max_connections")
        ]
    assert shown == ["UTF8", "", "off", "200"]


def test_redis_url_leads_to_a_valkey_that_answers():
    assert redis.from_url(os.environ["REDIS_URL"]).ping()


def test_addresses_carry_the_mark_of_throwaway_servers():
    assert os.environ[MARK] in os.environ["DATABASE_URL"]
    assert os.environ[MARK] in os.environ["REDIS_URL"]


@pytest.mark.parametrize(("worker", "number"), [("gw0", 1), ("gw1", 2), ("gw12", 13)])
def test_each_parallel_worker_has_its_own_database_number(worker, number):
    url = own_database_number("unix:///x/valkey.sock?db=0", worker)
    assert url == f"unix:///x/valkey.sock?db={number}"
