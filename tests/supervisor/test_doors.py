"""Ports: free or not, and the one that the simulated accounts rely on."""

from __future__ import annotations

import json
import socket

import pytest

from supervisor.doors import EXCHANGE_PORTS, exchange_port, listens, require_free
from supervisor.errors import HouseError


@pytest.fixture
def busy() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        yield door.getsockname()[1]


def test_the_exchange_keeps_its_port_for_ever(tmp_path):
    ports = tmp_path / "ports.json"
    port = exchange_port(ports, "abc")
    assert port in EXCHANGE_PORTS
    assert exchange_port(ports, "another checkout now") == port


def test_two_checkouts_begin_their_search_apart(tmp_path):
    assert exchange_port(tmp_path / "a", "1a") != exchange_port(tmp_path / "b", "2b")


def test_a_taken_exchange_port_names_the_part_and_the_way_out(tmp_path, busy):
    ports = tmp_path / "ports.json"
    ports.write_text(json.dumps({"simexchange": busy}))
    with pytest.raises(HouseError, match=rf"simexchange: port {busy} .* make reset") as refused:
        exchange_port(ports, "abc")
    assert refused.value.code == 2


def test_an_address_that_is_not_ours_is_explained():
    with pytest.raises(HouseError, match=r"cannot listen on 203\.0\.113\.7:8000"):
        require_free("203.0.113.7", 8000)


def test_listens(busy, free_port):
    assert listens("127.0.0.1", busy)
    assert not listens("127.0.0.1", free_port)
