"""Ordered failures: what the caller sees, and what was accepted all the same."""

import socket
import time

import pytest
import requests

from simexchange.faults import Fault, Faults
from tests.simexchange.conftest import client_for
from tests.simexchange.harness import (
    CLIENT,
    OTHER_TOKEN,
    Hall,
    Server,
    eventually,
    limit_order,
    payload,
)


def order_fault(server: Server, fault: str, **more) -> int:
    return server.sim("faults", {"fault": fault, "endpoint": "place", "times": 1, **more})["id"]


def try_to_place(server: Server, name: str = "f", **more) -> requests.Response:
    return server.call("POST", "/orders", limit_order(correlationId=name), **more)


def accepted(server: Server, name: str = "f") -> int:
    return len(server.sim("report")["accepted"].get(name, []))


@pytest.mark.parametrize(("fault", "orders"), [("drop_before_accept", 0), ("drop_after_accept", 1)])
def test_a_dropped_connection_says_nothing(server: Server, fault: str, orders: int) -> None:
    order_fault(server, fault)
    with pytest.raises(requests.ConnectionError):
        try_to_place(server)
    assert accepted(server) == orders
    assert try_to_place(server).status_code == 200


@pytest.mark.parametrize("accept", [True, False])
def test_a_hanging_request_never_answers(server: Server, accept: bool) -> None:
    order_fault(server, "hang", accept=accept, seconds=1)
    with pytest.raises(requests.ReadTimeout):
        try_to_place(server, timeout=0.1)
    assert accepted(server) == int(accept)


def test_after_hanging_the_connection_is_dropped(server: Server) -> None:
    order_fault(server, "hang", accept=True, seconds=0.1)
    with pytest.raises(requests.ConnectionError):
        try_to_place(server)


def test_slow_is_late_but_normal(server: Server) -> None:
    order_fault(server, "slow", seconds=0.15)
    started = time.monotonic()
    assert try_to_place(server).status_code == 200
    assert time.monotonic() - started >= 0.15


def test_429_accepts_nothing(server: Server) -> None:
    order_fault(server, "http_429")
    reply = try_to_place(server)
    assert (reply.status_code, reply.json()) == (429, payload("observed-error-429-rate-limit"))
    assert "Retry-After" not in reply.headers
    assert accepted(server) == 0


@pytest.mark.parametrize("accept", [True, False])
def test_500_leaves_open_whether_the_order_stands(server: Server, accept: bool) -> None:
    order_fault(server, "http_500", accept=accept)
    reply = try_to_place(server)
    assert (reply.status_code, reply.json()["errorCode"]) == (500, "DH-908")
    assert accepted(server) == int(accept)


@pytest.mark.parametrize("accept", [True, False])
@pytest.mark.parametrize(("status", "seen"), [(None, 502), (200, 200)])
def test_an_html_page(server: Server, accept: bool, status: int | None, seen: int) -> None:
    order_fault(server, "html", accept=accept, status=status)
    reply = try_to_place(server)
    assert (reply.status_code, reply.text[:6]) == (seen, "<html>")
    assert accepted(server) == int(accept)


@pytest.mark.parametrize("accept", [True, False])
def test_garbage_is_half_a_json_text(server: Server, accept: bool) -> None:
    order_fault(server, "garbage", accept=accept)
    reply = try_to_place(server)
    assert reply.status_code == 200
    with pytest.raises(ValueError):
        reply.json()
    assert accepted(server) == int(accept)


def test_a_wrong_schema(server: Server) -> None:
    order_fault(server, "wrong_schema", accept=True)
    assert try_to_place(server).json() == {"foo": 1}
    assert accepted(server) == 1


def test_a_redirect_to_itself_repeats_the_request(server: Server) -> None:
    order_fault(server, "redirect_307")
    assert try_to_place(server, allow_redirects=False).status_code == 307
    assert accepted(server) == 0
    order_fault(server, "redirect_307")
    assert try_to_place(server).status_code == 200
    assert accepted(server) == 1


def test_a_lookup_window_hides_an_order_for_its_seconds(server: Server) -> None:
    server.sim("faults", {"fault": "lookup_404", "seconds": 0.2})
    order_id = server.place(correlationId="hidden")
    server.settled(order_id)
    assert server.call("GET", "/orders/external/hidden").status_code == 404
    time.sleep(0.25)
    assert server.call("GET", "/orders/external/hidden").json()["orderId"] == order_id


def test_a_fault_lasts_as_long_as_it_was_ordered_for(server: Server) -> None:
    server.sim("faults", {"fault": "http_500", "endpoint": "book", "lasts": 0.2})
    assert server.call("GET", "/orders").status_code == 500
    time.sleep(0.25)
    assert server.call("GET", "/orders").status_code == 200


def test_a_lagging_book_hides_what_is_too_young(server: Server) -> None:
    server.sim("faults", {"fault": "book_lags", "seconds": 0.3})
    order_id = server.place(correlationId="young")
    assert server.call("GET", "/orders").json() == []
    assert server.row(order_id)["orderId"] == order_id
    time.sleep(0.35)
    assert [row["orderId"] for row in server.call("GET", "/orders").json()] == [order_id]


def test_a_later_rejection_shows_only_in_the_book(server: Server) -> None:
    server.sim("faults", {"fault": "reject_later", "times": 1})
    order_id = server.place(correlationId="doomed")
    row = server.settled(order_id)
    assert row["orderStatus"] == "REJECTED"
    assert "Rejected by the exchange" in row["omsErrorDescription"]
    assert server.settled(server.place())["orderStatus"] == "PENDING"


def test_a_later_rejection_sends_no_frame() -> None:
    hall = Hall()
    hall.exchange.doom(hall.send().order_id)
    hall.arrive()
    assert hall.events == []
    assert [order.status for order in hall.ledger.orders.values()] == ["REJECTED"]


def test_a_fault_cannot_be_ordered_where_it_is_impossible(server: Server) -> None:
    reply = server.control("faults", {"fault": "reject_later", "endpoint": "book"})
    assert (reply.status_code, reply.json()["error"]) == (
        400,
        "endpoint: 'book' is not one of place, super_place, any",
    )


def test_connections_are_refused_for_a_while_even_to_whoever_has_one(server: Server) -> None:
    assert server.call("GET", "/profile").status_code == 200  # kept open from here on
    server.sim("faults", {"fault": "refuse_connection", "seconds": 0.5})
    eventually(lambda: _refused(server))
    with pytest.raises(requests.ConnectionError):
        server.call("GET", "/profile")
    eventually(lambda: not _refused(server))
    assert server.call("GET", "/profile").status_code == 200
    assert server.sim("report")["fired"] == {"refuse_connection": 1}


def _refused(server: Server) -> bool:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.socket() as line:
        return line.connect_ex((host, int(port))) != 0


def test_the_sdk_reports_a_dropped_reply_as_text(server: Server) -> None:
    order_fault(server, "drop_after_accept")
    result = client_for(server).place_order(
        "2885", "NSE_EQ", "BUY", 1, "LIMIT", "INTRADAY", 1300, tag="lost"
    )
    assert isinstance(result["remarks"], str)
    assert accepted(server, "lost") == 1


@pytest.mark.parametrize(
    ("endpoint", "method", "path"),
    [
        ("modify", "PUT", "/orders/1"),
        ("cancel", "DELETE", "/orders/1"),
        ("book", "GET", "/orders"),
        ("order", "GET", "/orders/1"),
        ("by_correlation", "GET", "/orders/external/x"),
        ("trades", "GET", "/trades"),
        ("positions", "GET", "/positions"),
        ("holdings", "GET", "/holdings"),
        ("funds", "GET", "/fundlimit"),
        ("profile", "GET", "/profile"),
        ("exit_all", "DELETE", "/positions"),
        ("margin", "POST", "/margincalculator"),
        ("quotes", "POST", "/marketfeed/ltp"),
        ("any", "GET", "/profile"),
    ],
)
def test_a_fault_finds_its_endpoint(server: Server, endpoint: str, method: str, path: str) -> None:
    server.sim("faults", {"fault": "wrong_schema", "endpoint": endpoint})
    assert server.call(method, path).json() == {"foo": 1}
    if endpoint != "any":
        assert try_to_place(server).status_code == 200


def test_a_fault_for_one_client_leaves_the_other_alone(server: Server) -> None:
    server.sim("faults", {"fault": "http_500", "endpoint": "book", "client_id": CLIENT})
    assert server.call("GET", "/orders").status_code == 500
    assert server.call("GET", "/orders", token=OTHER_TOKEN).status_code == 200


def test_faults_are_counted_logged_and_taken_away(server: Server) -> None:
    number = server.sim("faults", {"fault": "http_500", "endpoint": "book"})["id"]
    server.call("GET", "/orders")
    (row,) = server.sim("faults")
    assert (row["id"], row["fired"]) == (number, 1)
    assert server.sim("requests?since=0")[-1]["fault"] == "http_500"
    server.sim(f"faults/{number}", method="DELETE")
    assert server.call("GET", "/orders").status_code == 200
    assert server.sim("faults") == []


def draws(seed: int) -> list[bool]:
    faults = Faults(seed)
    faults.add(Fault("http_500", probability=0.5))
    return [faults.draw("place", CLIENT) is not None for _ in range(200)]


def test_probability_is_drawn_from_the_seed() -> None:
    assert draws(7) == draws(7) != draws(8)
    assert 60 < sum(draws(7)) < 140


def test_times_ends_a_fault() -> None:
    faults = Faults(1)
    faults.add(Fault("http_500", times=2))
    assert [faults.draw("book", None) is not None for _ in range(4)] == [True, True, False, False]


def test_a_feed_fault_does_not_hit_requests_nor_the_other_way_round() -> None:
    faults = Faults(1)
    faults.add(Fault("duplicate_frames"))
    assert faults.draw("place", CLIENT) is None
    faults.add(Fault("http_500"))
    assert faults.draw_frame(CLIENT, of_leg=False).fault == "duplicate_frames"
