"""Super orders over HTTP and the socket, and with the broker's own SDK."""

from collections.abc import Iterator

import pytest
import requests
from dhanhq import dhanhq

from tests.simexchange.harness import CLIENT, OTHER_TOKEN, Server, eventually, payload
from tests.simexchange.test_order_updates import Ear, listen

PIN = {"segment": "NSE_EQ", "securityId": "2885"}
CLASSIC_LEG = {
    "orderId",
    "legName",
    "transactionType",
    "remainingQuantity",
    "triggeredQuantity",
    "price",
    "orderStatus",
    "trailingJump",
}
PORTAL_LEG = {
    "legName",
    "orderStatus",
    "orderType",
    "quantity",
    "remainingQuantity",
    "price",
    "triggerPrice",
    "exchangeOrderId",
}


@pytest.fixture
def ear(server: Server) -> Iterator[Ear]:
    ear = listen(server)
    yield ear
    ear.socket.shutdown()


def body(**changes: object) -> dict:
    """The documented request, on an instrument and at prices of this market; it fills."""
    sample = payload("super-orders-place.request")
    asked = {
        **sample,
        "dhanClientId": CLIENT,
        "securityId": "2885",
        "productType": "INTRADAY",
        "price": 1410,
        "targetPrice": 1450,
        "stopLossPrice": 1350,
        "trailingJump": 0,
    }
    return asked | changes


def bracket(server: Server, **changes: object) -> str:
    reply = server.call("POST", "/super/orders", body(**changes))
    assert reply.json().keys() == payload("super-orders-place.response").keys()
    assert (reply.status_code, reply.json()["orderStatus"]) == (200, "TRANSIT")
    order_id = str(reply.json()["orderId"])
    eventually(lambda: listed(server)["orderStatus"] != "TRANSIT")
    return order_id


def listed(server: Server) -> dict:
    rows = server.call("GET", "/super/orders").json()
    return rows[-1]


def legs(server: Server) -> dict[str, str]:
    return {each["legName"]: each["orderStatus"] for each in listed(server)["legDetails"]}


def change(server: Server, order_id: str, **changes: object) -> requests.Response:
    return server.call("PUT", f"/super/orders/{order_id}", {"orderId": order_id, **changes})


def drop(server: Server, order_id: str, leg: str) -> requests.Response:
    return server.call("DELETE", f"/super/orders/{order_id}/{leg}")


def error_of(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["errorCode"]


def test_without_any_the_list_is_empty(server: Server) -> None:
    reply = server.call("GET", "/super/orders")
    assert (reply.status_code, reply.json()) == (200, [])


def test_the_classic_list_counts_the_stop_under_its_misspelt_name(server: Server) -> None:
    order_id = bracket(server, price=1390)
    row = listed(server)
    stop, target = row["legDetails"]
    assert (row["orderId"], row["orderStatus"], row["legName"]) == (
        order_id,
        "PENDING",
        "ENTRY_LEG",
    )
    assert "algoId" not in row
    assert set(stop) == CLASSIC_LEG | {"totalQuatity"}
    assert set(target) == CLASSIC_LEG
    assert {stop["orderId"], target["orderId"]} == {order_id}
    assert (stop["totalQuatity"], stop["triggeredQuantity"], stop["price"]) == (5, 0, 1350.0)
    assert legs(server) == {"STOP_LOSS_LEG": "PENDING", "TARGET_LEG": "PENDING"}


def test_the_portal_describes_legs_in_other_words(server: Server) -> None:
    server.sim("super", {"details": "portal"})
    bracket(server)
    row = listed(server)
    stop, target = row["legDetails"]
    assert row["algoId"] == "0"
    assert set(stop) == set(target) == PORTAL_LEG
    assert (stop["triggerPrice"], target["triggerPrice"]) == (1350.0, 0.0)
    assert stop["exchangeOrderId"] == "0"


def test_legs_share_the_entrys_id_in_the_order_book(server: Server) -> None:
    order_id = bracket(server)
    rows = server.call("GET", "/orders").json()
    assert [row["orderId"] for row in rows] == [order_id] * 3
    assert [row["legName"] for row in rows] == ["ENTRY_LEG", "STOP_LOSS_LEG", "TARGET_LEG"]
    assert [row["orderStatus"] for row in rows] == ["TRADED", "PENDING", "PENDING"]
    assert server.call("GET", f"/orders/{order_id}").json() == rows
    found = server.call("GET", "/orders/external/123abc678").json()
    assert found["legName"] == "ENTRY_LEG"
    assert server.sim("report")["doubled"] == []


def test_legs_with_ids_of_their_own(server: Server) -> None:
    server.sim("super", {"leg_ids": "own"})
    order_id = bracket(server)
    ids = [row["orderId"] for row in server.call("GET", "/orders").json()]
    assert len(set(ids)) == 3
    (row,) = server.call("GET", f"/orders/{order_id}").json()
    assert row["legName"] == "ENTRY_LEG"
    stop, target = listed(server)["legDetails"]
    assert [order_id, stop["orderId"], target["orderId"]] == ids
    server.sim("price", {**PIN, "price": 1450})
    trades = server.call("GET", f"/trades/{target['orderId']}").json()
    assert sum(trade["tradedQuantity"] for trade in trades) == 5


def test_a_reset_shares_ids_again(server: Server) -> None:
    server.sim("super", {"leg_ids": "own", "details": "portal"})
    server.sim("reset", {"walk": False})
    assert server.sim("super", {}) == {
        "leg_ids": "shared",
        "details": "classic",
        "native": False,
    }


def test_the_trades_of_a_shared_id_are_those_of_entry_and_legs(server: Server) -> None:
    order_id = bracket(server)
    server.sim("price", {**PIN, "price": 1450})
    sides = {row["transactionType"] for row in server.call("GET", f"/trades/{order_id}").json()}
    assert sides == {"BUY", "SELL"}


def test_the_life_of_a_bracket_on_the_socket(server: Server, ear: Ear) -> None:
    order_id = bracket(server)
    server.sim("price", {**PIN, "price": 1450})
    heard = ear.hear_until("Traded")
    while heard[-1].get("legNo") != 3 or heard[-1]["status"] != "Traded":
        heard.append(ear.hear())
    told = [(frame["legNo"], frame["status"]) for frame in heard]
    assert told == [
        (1, "Pending"),
        (1, "Traded"),
        (2, "Pending"),
        (3, "Pending"),
        (3, "Triggered"),
        (2, "Cancelled"),
        (3, "Traded"),
    ]
    assert {frame["remarks"] for frame in heard} == {"Super Order"}
    assert {frame["orderNo"] for frame in heard} == {order_id}
    assert {frame.get("algoOrdNo") for frame in heard[:2]} == {None}
    assert {frame["algoOrdNo"] for frame in heard[2:]} == {order_id}
    assert listed(server)["orderStatus"] == "CLOSED"


def test_a_fired_leg_is_triggered_until_it_trades(server: Server) -> None:
    order_id = bracket(server)
    server.sim("auto", {"on": False})
    server.sim("super/fire", {"orderId": order_id, "legName": "TARGET_LEG"})
    target = listed(server)["legDetails"][1]
    assert (target["orderStatus"], target["triggeredQuantity"]) == ("TRIGGERED", 5)
    assert legs(server)["STOP_LOSS_LEG"] == "CANCELLED"
    (own,) = server.sim("super")
    server.sim("fill", {"orderId": own["legs"]["TARGET_LEG"], "quantity": 2})
    target = listed(server)["legDetails"][1]
    assert (target["orderStatus"], target["remainingQuantity"]) == ("PART_TRADED", 3)
    server.sim("fill", {"orderId": own["legs"]["TARGET_LEG"]})
    assert listed(server)["orderStatus"] == "CLOSED"


def test_the_documented_changes(server: Server) -> None:
    order_id = bracket(server, price=1390)
    whole = {**payload("super-orders-modify-entry-leg.request"), "dhanClientId": CLIENT}
    reply = change(server, **whole | {"order_id": order_id, "stopLossPrice": 1280})
    assert reply.json() == {**payload("super-orders-modify.response"), "orderId": order_id}
    row = listed(server)
    assert (row["quantity"], row["price"], row["trailingJump"]) == (40, 1300.0, 20.0)
    assert [leg["price"] for leg in row["legDetails"]] == [1280.0, 1450.0]
    target = {**payload("super-orders-modify-target-leg.request"), "dhanClientId": CLIENT}
    assert change(server, **target | {"order_id": order_id, "targetPrice": 1440}).status_code == 200
    stop = {**payload("super-orders-modify-stop-loss-leg.request"), "dhanClientId": CLIENT}
    assert change(server, **stop | {"order_id": order_id, "stopLossPrice": 1285}).status_code == 200
    assert [leg["price"] for leg in listed(server)["legDetails"]] == [1285.0, 1440.0]


@pytest.mark.parametrize("more", [{}, {"trailingJump": 0}])
def test_a_stop_changed_without_a_jump_trails_no_more(server: Server, more: dict) -> None:
    order_id = bracket(server, trailingJump=10)
    assert listed(server)["legDetails"][0]["trailingJump"] == 10.0
    change(server, order_id, legName="STOP_LOSS_LEG", stopLossPrice=1360, **more)
    assert listed(server)["legDetails"][0]["trailingJump"] == 0.0


def test_a_cancel_answers_202_with_a_body(server: Server) -> None:
    order_id = bracket(server, price=1390)
    reply = drop(server, order_id, "ENTRY_LEG")
    sample = payload("super-orders-cancel-leg.response")
    assert (reply.status_code, reply.json()) == (202, {**sample, "orderId": order_id})
    assert listed(server)["orderStatus"] == "CANCELLED"
    assert legs(server) == {"STOP_LOSS_LEG": "CANCELLED", "TARGET_LEG": "CANCELLED"}


def test_a_cancelled_leg_is_gone_for_good(server: Server) -> None:
    order_id = bracket(server)
    assert drop(server, order_id, "STOP_LOSS_LEG").status_code == 202
    again = drop(server, order_id, "STOP_LOSS_LEG")
    assert error_of(again) == (400, "DH-906")
    back = change(server, order_id, legName="STOP_LOSS_LEG", stopLossPrice=1360)
    assert error_of(back) == (400, "DH-906")
    server.sim("price", {**PIN, "price": 1340})
    assert legs(server) == {"STOP_LOSS_LEG": "CANCELLED", "TARGET_LEG": "PENDING"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"targetPrice": None}, "DH-905"),
        ({"targetPrice": 0}, "DH-905"),
        ({"stopLossPrice": 0.0}, "DH-905"),
        ({"trailingJump": None}, "DH-905"),
        ({"trailingJump": -1}, "DH-905"),
        ({"orderType": "STOP_LOSS"}, "DH-905"),
        ({"productType": "BO"}, "DH-905"),
        ({"price": 0}, "DH-905"),
        ({"targetPrice": 1400}, "DH-906"),
        ({"stopLossPrice": 1350.07}, "DH-906"),
    ],
)
def test_a_bad_request_is_refused(server: Server, changes: dict, code: str) -> None:
    reply = server.call("POST", "/super/orders", body(**changes))
    assert error_of(reply) == (400, code)
    assert server.call("GET", "/orders").json() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"targetPrice": 1440},
        {"legName": "NA", "targetPrice": 1440},
        {"legName": "TARGET_LEG"},
        {"legName": "STOP_LOSS_LEG", "stopLossPrice": 0},
        {"legName": "ENTRY_LEG", "orderType": "STOP_LOSS", "price": 1400},
        {"legName": "ENTRY_LEG", "orderType": "LIMIT", "quantity": 0},
    ],
)
def test_a_bad_change_is_refused(server: Server, changes: dict) -> None:
    order_id = bracket(server, price=1390)
    before = listed(server)
    assert error_of(change(server, order_id, **changes)) == (400, "DH-905")
    assert listed(server)["legDetails"] == before["legDetails"]


def test_an_unknown_leg_or_order_and_that_of_another_account(server: Server) -> None:
    order_id = bracket(server)
    assert error_of(drop(server, order_id, "EXIT_LEG")) == (400, "DH-905")
    assert error_of(drop(server, "1", "ENTRY_LEG")) == (400, "DH-906")
    path = f"/super/orders/{order_id}/ENTRY_LEG"
    assert error_of(server.call("DELETE", path, token=OTHER_TOKEN)) == (400, "DH-906")
    assert server.call("GET", "/super/orders", token=OTHER_TOKEN).json() == []


def test_with_the_kill_switch_on_no_bracket_passes(server: Server) -> None:
    server.call("POST", "/killswitch?killSwitchStatus=ACTIVATE")
    bracket(server)
    assert listed(server)["orderStatus"] == "REJECTED"


def test_waiting_legs_are_in_the_way_of_the_kill_switch(server: Server) -> None:
    bracket(server)
    server.sim("hand", {"client_id": CLIENT, **selling(5), "fill": True})
    assert server.call("POST", "/killswitch?killSwitchStatus=ACTIVATE").status_code == 400


def selling(quantity: int) -> dict:
    return {
        "transactionType": "SELL",
        "exchangeSegment": "NSE_EQ",
        "securityId": "2885",
        "productType": "INTRADAY",
        "orderType": "MARKET",
        "quantity": quantity,
    }


@pytest.mark.parametrize(
    ("endpoint", "method", "path"),
    [
        ("super_place", "POST", "/super/orders"),
        ("super_modify", "PUT", "/super/orders/1"),
        ("super_cancel", "DELETE", "/super/orders/1/ENTRY_LEG"),
        ("super_book", "GET", "/super/orders"),
    ],
)
def test_each_request_can_fail_by_itself(
    server: Server, endpoint: str, method: str, path: str
) -> None:
    server.sim("faults", {"fault": "http_500", "endpoint": endpoint, "times": 1})
    assert server.call("GET", "/orders").status_code == 200
    assert server.call(method, path, body() if method == "POST" else None).status_code == 500
    assert server.call(method, path, body() if method == "POST" else None).status_code != 500


def test_a_cancel_that_is_refused_changes_nothing(server: Server) -> None:
    order_id = bracket(server)
    server.sim("faults", {"fault": "refused", "endpoint": "super_cancel", "times": 1})
    assert error_of(drop(server, order_id, "STOP_LOSS_LEG")) == (400, "DH-906")
    assert legs(server)["STOP_LOSS_LEG"] == "PENDING"
    assert drop(server, order_id, "STOP_LOSS_LEG").status_code == 202


@pytest.mark.parametrize(
    ("fault", "after_the_entry"),
    [
        ("dropped_frames", []),
        ("duplicate_frames", [2, 2, 3, 3]),
        ("reordered_frames", [3, 2]),
    ],
)
def test_frames_of_legs_alone_can_be_spoilt(
    server: Server, ear: Ear, fault: str, after_the_entry: list[int]
) -> None:
    times = 1 if fault == "reordered_frames" else 2
    server.sim("faults", {"fault": fault, "endpoint": "legs", "times": times})
    bracket(server)
    assert [frame["legNo"] for frame in ear.hear_until("Traded")] == [1, 1]
    assert [ear.hear()["legNo"] for _ in after_the_entry] == after_the_entry
    assert ear.hears_nothing()


def test_lost_after_the_reply_it_is_in_the_list_all_the_same(server: Server) -> None:
    server.sim("faults", {"fault": "drop_after_accept", "endpoint": "super_place", "times": 1})
    with pytest.raises(requests.ConnectionError):
        server.call("POST", "/super/orders", body())
    assert listed(server)["correlationId"] == "123abc678"


@pytest.mark.parametrize(
    ("path", "asked", "message"),
    [
        ("super", {"leg_ids": "none"}, "leg_ids: 'none' is not one of own, shared"),
        ("super", {"details": "new"}, "details: 'new' is not one of classic, portal"),
        ("super", {"ids": "own"}, "ids: unknown field; allowed are leg_ids, details, native"),
        ("super/fire", {"orderId": "1", "legName": "ENTRY_LEG"}, "legName: 'ENTRY_LEG' is not"),
        ("super/fire", {"orderId": "1", "legName": "TARGET_LEG"}, "orderId: no such leg waits"),
        ("faults", {"fault": "dropped_frames", "endpoint": "book"}, "endpoint: 'book' is not one"),
    ],
)
def test_bad_control_names_the_field(server: Server, path: str, asked: dict, message: str) -> None:
    reply = server.control(path, asked)
    assert reply.status_code == 400
    assert reply.json()["error"].startswith(message)


def test_super_orders_through_the_sdk(server: Server, sdk: dhanhq) -> None:
    placed = sdk.place_super_order(
        "2885", "NSE_EQ", "BUY", 10, "LIMIT", "INTRADAY", 1390, 1450, 1350, 5, "sdk-super"
    )
    assert placed["status"] == "success"
    order_id = placed["data"]["orderId"]
    server.settled(order_id)
    entry = sdk.modify_super_order(
        order_id, "LIMIT", "ENTRY_LEG", 8, 1391, 1451, 1351, trailingJump=5
    )
    assert entry["status"] == "success"
    server.sim("price", {**PIN, "price": 1391})
    assert sdk.modify_super_order(order_id, "LIMIT", "TARGET_LEG", targetPrice=1449)["data"]
    stop = sdk.modify_super_order(order_id, "LIMIT", "STOP_LOSS_LEG", stopLossPrice=1355)
    assert stop["status"] == "success"
    (row,) = sdk.get_super_order_list()["data"]
    assert (row["orderStatus"], row["filledQty"], row["correlationId"]) == (
        "TRADED",
        8,
        "sdk-super",
    )
    details = {leg["legName"]: leg for leg in row["legDetails"]}
    assert details["TARGET_LEG"]["price"] == 1449.0
    assert details["STOP_LOSS_LEG"]["price"] == 1355.0
    assert details["STOP_LOSS_LEG"]["trailingJump"] == 0.0  # the SDK sends 0 unless told
    assert sdk.cancel_super_order(order_id, "TARGET_LEG")["status"] == "success"
    refused = sdk.cancel_super_order(order_id, "TARGET_LEG")
    assert refused["remarks"]["error_code"] == "DH-906"
    assert sdk.cancel_super_order(order_id, "ENTRY_LEG")["data"]["orderStatus"] == "CANCELLED"


def test_the_sdk_sends_zeros_for_what_is_left_out_of_an_entry(server: Server, sdk: dhanhq) -> None:
    order_id = bracket(server, price=1390)
    changed = sdk.modify_super_order(order_id, "LIMIT", "ENTRY_LEG", quantity=8, price=1391)
    assert changed["remarks"]["error_code"] == "DH-905"
