"""Bracket and cover orders, which the broker takes only when told to."""

from collections.abc import Iterator

import pytest
import requests

from tests.simexchange.harness import CLIENT, Server, eventually, limit_order
from tests.simexchange.test_order_updates import Ear, listen

PIN = {"segment": "NSE_EQ", "securityId": "2885"}
BO = limit_order(productType="BO", price=1410, boProfitValue=40, boStopLossValue=20.5)
CO = limit_order(productType="CO", price=1410, triggerPrice=1380)


@pytest.fixture
def broker(server: Server) -> Server:
    server.sim("super", {"native": True})
    return server


@pytest.fixture
def ear(broker: Server) -> Iterator[Ear]:
    ear = listen(broker)
    yield ear
    ear.socket.shutdown()


def rows(server: Server) -> list[dict]:
    return list(server.call("GET", "/orders").json())


def filled(server: Server, body: dict) -> str:
    order_id = server.place(**body)
    eventually(lambda: rows(server)[0]["orderStatus"] == "TRADED")
    return order_id


def error_of(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["errorCode"]


def test_unless_told_the_broker_takes_neither(server: Server) -> None:
    for body in (BO, CO):
        assert error_of(server.call("POST", "/orders", body)) == (400, "DH-905")


def test_exits_of_a_bracket_stand_so_far_from_what_it_cost(broker: Server) -> None:
    order_id = filled(broker, BO)
    entry, stop, target = rows(broker)
    assert [row["legName"] for row in (entry, stop, target)] == [
        "ENTRY_LEG",
        "STOP_LOSS_LEG",
        "TARGET_LEG",
    ]
    assert {row["orderId"] for row in (entry, stop, target)} == {order_id}
    assert {row["productType"] for row in (entry, stop, target)} == {"BO"}
    assert (entry["boProfitValue"], entry["boStopLossValue"]) == (40.0, 20.5)
    assert entry["averageTradedPrice"] == 1402.0
    assert (target["price"], stop["triggerPrice"]) == (1442.0, 1381.5)
    assert broker.call("GET", "/super/orders").json() == []


def test_a_bracket_on_the_socket_says_nothing_of_super_orders(broker: Server, ear: Ear) -> None:
    order_id = filled(broker, BO)
    heard = [ear.hear() for _ in range(4)]
    assert [frame["legNo"] for frame in heard] == [1, 1, 2, 3]
    assert {frame["product"] for frame in heard} == {"B"}
    assert {frame["remarks"] for frame in heard} == {" "}
    assert {frame["algoOrdNo"] for frame in heard[2:]} == {order_id}


@pytest.mark.parametrize(("price", "left"), [(1442, "TARGET_LEG"), (1381, "STOP_LOSS_LEG")])
def test_one_exit_ends_the_other(broker: Server, price: int, left: str) -> None:
    filled(broker, BO)
    broker.sim("price", {**PIN, "price": price})
    ended = {row["legName"]: row["orderStatus"] for row in rows(broker)}
    assert ended.pop("ENTRY_LEG") == "TRADED"
    assert ended.pop(left) == "TRADED"
    assert list(ended.values()) == ["CANCELLED"]
    (position,) = broker.call("GET", "/positions").json()
    assert (position["productType"], position["netQty"]) == ("BO", 0)


def test_a_cover_order_has_a_stop_and_no_target(broker: Server) -> None:
    filled(broker, CO)
    entry, stop = rows(broker)
    assert (entry["triggerPrice"], stop["triggerPrice"]) == (0.0, 1380.0)
    assert stop["legName"] == "STOP_LOSS_LEG"
    broker.sim("price", {**PIN, "price": 1380})
    assert rows(broker)[1]["orderStatus"] == "TRADED"


@pytest.mark.parametrize("own", [True, False])
def test_exits_are_changed_as_plain_orders(broker: Server, own: bool) -> None:
    broker.sim("super", {"leg_ids": "own" if own else "shared"})
    filled(broker, BO)
    _, stop, target = rows(broker)
    common = {"orderType": "LIMIT", "validity": "DAY"}
    changes = {
        "STOP_LOSS_LEG": (stop["orderId"], {"triggerPrice": 1390}),
        "TARGET_LEG": (target["orderId"], {"price": 1430}),
    }
    for name, (order_id, change) in changes.items():
        body = {**common, **change} | ({} if own else {"legName": name})
        assert broker.call("PUT", f"/orders/{order_id}", body).status_code == 200
    _, stop, target = rows(broker)
    assert (stop["triggerPrice"], target["price"]) == (1390.0, 1430.0)


def test_an_exit_that_is_not_there_cannot_be_changed(broker: Server) -> None:
    order_id = broker.place(**BO | {"price": 1390})
    broker.settled(order_id)
    body = {"orderType": "LIMIT", "validity": "DAY", "legName": "TARGET_LEG", "price": 1500}
    assert error_of(broker.call("PUT", f"/orders/{order_id}", body)) == (400, "DH-906")


def test_the_entry_is_changed_and_cancelled_as_a_plain_order(broker: Server) -> None:
    order_id = broker.place(**BO | {"price": 1390})
    broker.settled(order_id)
    body = {"orderType": "LIMIT", "validity": "DAY", "legName": "ENTRY_LEG", "price": 1391}
    assert broker.call("PUT", f"/orders/{order_id}", body).status_code == 200
    broker.sim("fill", {"orderId": order_id, "quantity": 4})
    assert broker.call("DELETE", f"/orders/{order_id}").status_code == 200
    assert [row["orderStatus"] for row in rows(broker)] == ["CANCELLED"] * 3


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (BO | {"boProfitValue": None}, "DH-905"),
        (BO | {"boStopLossValue": 0}, "DH-905"),
        (BO | {"orderType": "STOP_LOSS", "triggerPrice": 1405}, "DH-905"),
        (CO | {"triggerPrice": None}, "DH-905"),
        (CO | {"triggerPrice": 1420}, "DH-906"),
        (CO | {"triggerPrice": 1380.05}, "DH-906"),
    ],
)
def test_a_bad_request_is_refused(broker: Server, body: dict, code: str) -> None:
    assert error_of(broker.call("POST", "/orders", body)) == (400, code)
    assert rows(broker) == []


def test_a_bracket_by_hand_looks_like_one(broker: Server, ear: Ear) -> None:
    broker.sim("hand", {"client_id": CLIENT, **BO, "fill": True})
    heard = [ear.hear() for _ in range(4)]
    assert {frame["source"] for frame in heard} == {"W"}
    assert {frame["correlationId"] for frame in heard} == {"NA"}
    assert [row["legName"] for row in rows(broker)][1:] == ["STOP_LOSS_LEG", "TARGET_LEG"]


def test_a_bracket_ties_up_what_an_intraday_order_does(broker: Server) -> None:
    broker.settled(broker.place(**BO | {"price": 1390}))
    assert broker.call("GET", "/fundlimit").json()["utilizedAmount"] == 2780.0
