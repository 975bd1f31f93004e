"""Failures by schedule, from a file and by the control API: the same seed, the same failures."""

import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest
import requests

from simexchange.fault_orders import read_plan
from simexchange.faults import Fault, Faults
from tests.simexchange.harness import CLIENT, OTHER, OTHER_TOKEN, ROOT, TOKEN, Server, eventually

STORM = {
    "entries": [
        {"fault": "drop_after_accept", "endpoint": "place", "probability": 0.2},
        {"fault": "http_500", "endpoint": "place", "probability": 0.2, "client_id": OTHER},
        {"fault": "http_429", "endpoint": "any", "probability": 0.1},
    ]
}


def told(seed: int, body: object) -> list[tuple[float, str]]:
    return [(second, fault.fault) for second, fault in read_plan(body, seed)]


def again(every: float = 5, until: float = 60) -> dict:
    return {"entries": [{"fault": "lookup_404", "every": every, "until": until, "lasts": 2}]}


def test_a_plan_follows_from_its_seed() -> None:
    assert told(3, again()) == told(3, again()) != told(4, again())
    assert told(9, {**again(), "seed": 3}) == told(3, again())


def test_what_comes_again_comes_so_often_on_average_and_ends() -> None:
    seconds = [second for second, _ in told(1, again())]
    assert 8 <= len(seconds) <= 16
    assert max(seconds) <= 60
    gaps = [later - sooner for sooner, later in pairwise(seconds)]
    assert all(2.5 <= gap <= 7.501 for gap in gaps)


def test_a_plan_is_in_the_order_of_its_seconds() -> None:
    rows = [{"fault": "slow", "at": 9}, {"fault": "hang", "at": 2}, {"fault": "html"}]
    assert told(1, {"entries": rows}) == [(0.0, "html"), (2.0, "hang"), (9.0, "slow")]


def place_some(server: Server) -> None:
    """The same requests of two accounts; which of them mix in which way does not matter."""
    for number in range(30):
        for token in (TOKEN, OTHER_TOKEN):
            name = f"{token}-{number}"
            body = {"correlationId": name, "quantity": 1 + number}
            try:
                server.call("POST", "/orders", {**ORDER, **body}, token)
            except requests.ConnectionError:
                continue


ORDER = {
    "transactionType": "BUY",
    "exchangeSegment": "NSE_EQ",
    "productType": "INTRADAY",
    "orderType": "LIMIT",
    "validity": "DAY",
    "securityId": "2885",
    "price": 1300,
}


def report_of(seed: int, path: object) -> dict:
    server = Server("--seed", str(seed), "--faults", str(path), "--no-rate-limits")
    try:
        place_some(server)
        report = server.sim("report")
    finally:
        server.kill()
    for rows in report["accepted"].values():
        for row in rows:
            del row["acceptedAt"]
    del report["statuses"]  # an order may still be in TRANSIT
    for rows in report["accepted"].values():
        for row in rows:
            del row["orderStatus"]
    return report


def test_the_same_seed_and_schedule_give_the_same_report(tmp_path) -> None:
    path = tmp_path / "storm.json"
    path.write_text(json.dumps(STORM))
    first, second, other = report_of(7, path), report_of(7, path), report_of(8, path)
    assert first == second
    assert first["fired"].keys() == {"drop_after_accept", "http_500", "http_429"}
    names = [set(report["accepted"]) for report in (first, other)]
    assert names[0] != names[1]


def test_a_file_that_is_no_schedule_stops_the_start(tmp_path) -> None:
    path = tmp_path / "storm.json"
    path.write_text('{"entries": [{"fault": "fire"}]}')
    command = [sys.executable, "-m", "simexchange", "--port", "0", "--faults", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "entries: number 1: fault: 'fire' is not one of" in done.stderr


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "entries: a list is needed"),
        ({"entries": [], "sed": 1}, "sed: unknown field"),
        ({"entries": [{"fault": "slow", "evry": 1}]}, "entries: number 1: evry: unknown field"),
        (
            {"entries": [{"fault": "slow"}, {"fault": "slow", "every": 3}]},
            "entries: number 2: until: the last second is needed with every",
        ),
        ({"entries": [{"fault": "slow", "at": -1}]}, "entries: number 1: at: a number from 0"),
    ],
)
def test_a_bad_schedule_is_400_and_names_the_entry(server: Server, body: dict, message: str):
    reply = server.control("schedule", body)
    assert reply.status_code == 400
    assert reply.json()["error"].startswith(message)


def test_a_schedule_comes_when_its_seconds_come_and_can_be_ended(server: Server) -> None:
    soon = {"fault": "http_500", "endpoint": "book", "at": 0.1, "lasts": 30}
    rows = [{"fault": "html", "endpoint": "funds"}, soon, {"fault": "slow", "at": 60}]
    assert server.sim("schedule", {"entries": rows}) == {"planned": 3}
    assert server.call("GET", "/fundlimit").status_code == 502
    eventually(lambda: server.sim("schedule")["ordered"] == 2)
    assert server.call("GET", "/orders").status_code == 500
    server.sim("schedule", method="DELETE")
    assert server.sim("schedule") == {"ordered": 0, "plan": []}
    assert server.call("GET", "/orders").status_code == 500  # what is in force stays


def struck(faults: Faults, client: str, times: int) -> list[bool]:
    return [faults.draw("place", client) is not None for _ in range(times)]


def test_what_hits_an_account_does_not_hang_on_the_others() -> None:
    alone, among = Faults(5), Faults(5)
    for faults in (alone, among):
        faults.add(Fault("http_500", probability=0.5))
    expected = struck(alone, CLIENT, 40)
    found = []
    for _ in range(40):
        struck(among, OTHER, 3)
        found += struck(among, CLIENT, 1)
    assert found == expected


def test_after_a_reset_the_draws_begin_again_and_the_counts_too() -> None:
    faults = Faults(5)
    rounds = []
    for _ in range(2):
        faults.add(Fault("http_500", probability=0.5))
        rounds.append(struck(faults, CLIENT, 40))
        assert faults.fired == Counter(http_500=sum(rounds[0]))
        faults.reset()
    assert rounds[0] == rounds[1]


def test_what_fired_stays_counted_when_a_fault_is_taken_away(server: Server) -> None:
    server.sim("faults", {"fault": "http_500", "endpoint": "book"})
    server.call("GET", "/orders")
    server.sim("faults", method="DELETE")
    assert server.sim("report")["fired"] == {"http_500": 1}
