"""Trading by hand at the broker, past the API."""

import pytest

from simexchange.orders import ByHand, Status, Ticket
from tests.simexchange.harness import CLIENT, OTHER, Hall, Server, limit_order, payload
from tests.simexchange.test_order_updates import Ear, keys_without, listen


@pytest.fixture
def ear(server: Server):
    ear = listen(server)
    yield ear
    ear.socket.shutdown()


def by_hand(server: Server, **changes: object) -> dict:
    told = server.sim("hand", {"client_id": CLIENT, **limit_order(), **changes})
    assert isinstance(told, dict)
    return told


def test_an_order_by_hand_rests_and_looks_like_one_from_the_web(server: Server, ear: Ear) -> None:
    told = by_hand(server)
    assert told["orderStatus"] == "PENDING"
    assert server.row(told["orderId"])["correlationId"] == "NA"
    frame, recorded = ear.hear(), payload("observed-ws-order-update-pending")["Data"]
    assert set(frame) == set(recorded)
    same = ("source", "correlationId", "strategyId", "remarks", "algoId", "legNo")
    assert {name: frame[name] for name in same} == {name: recorded[name] for name in same}


@pytest.mark.parametrize(("name", "shown"), [("none", ""), ("own", f"{CLIENT}-")])
def test_it_may_carry_no_name_or_the_brokers_own(
    server: Server, ear: Ear, name: str, shown: str
) -> None:
    told = by_hand(server, name=name)
    row, frame = server.row(told["orderId"]), ear.hear()
    assert row["correlationId"].rstrip("0123456789") == shown.rstrip("0123456789")
    assert frame.get("correlationId", "") == row["correlationId"]
    assert frame["source"] == "W"
    lookup = server.call("GET", f"/orders/external/{row['correlationId'] or 'x'}")
    assert lookup.status_code == 404


def test_an_order_of_the_api_carries_no_strategy(server: Server, ear: Ear) -> None:
    server.place()
    frame = ear.hear()
    assert set(frame) == keys_without("observed-ws-order-update-pending")
    assert frame["source"] == "P"


@pytest.mark.parametrize(
    ("changes", "price"),
    [({"price": 1300}, 1300.0), ({"orderType": "MARKET", "price": 0}, 1402.0)],
)
def test_filled_by_hand_it_trades_at_its_price_or_at_the_last(
    server: Server, changes: dict, price: float
) -> None:
    told = by_hand(server, **changes, fill=True, quantity=700, source="T")
    row = server.row(told["orderId"])
    assert (row["orderStatus"], row["filledQty"]) == ("TRADED", 700)
    assert row["averageTradedPrice"] == price
    (position,) = server.call("GET", "/positions").json()
    assert (position["netQty"], position["productType"]) == (700, "INTRADAY")


def test_an_order_by_hand_meets_the_market_like_any_other(server: Server) -> None:
    told = by_hand(server, price=1410)
    assert told["orderStatus"] == "TRADED"


def test_an_order_of_the_api_is_changed_and_cancelled_by_hand(server: Server, ear: Ear) -> None:
    order_id = server.place(correlationId="mine")
    server.settled(order_id)
    server.sim("hand/modify", {"orderId": order_id, "quantity": 4, "price": 1310})
    row = server.row(order_id)
    assert (row["quantity"], row["price"], row["orderStatus"]) == (4, 1310.0, "PENDING")
    assert server.sim("hand/cancel", {"orderId": order_id})["orderStatus"] == "CANCELLED"
    heard = ear.hear_until("Cancelled")
    assert [frame["status"] for frame in heard] == ["Pending", "Modified", "Cancelled"]
    assert {frame["correlationId"] for frame in heard} == {"mine"}


def test_what_was_done_by_hand_is_reported_apart(server: Server) -> None:
    ids = [by_hand(server)["orderId"] for _ in range(2)]
    found = server.sim("report")
    assert [row["orderId"] for row in found["by_hand"]] == ids
    assert (found["accepted"], found["doubled"], found["orders"]) == ({}, [], 2)
    assert server.call("GET", "/orders/external/NA").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("hand", limit_order(), "client_id: a text is needed"),
        ("hand", {"client_id": "9", **limit_order()}, "client_id: unknown; known are 1000"),
        ("hand", {"client_id": CLIENT}, "exchangeSegment is required; the fields are those of"),
        ("hand", {"client_id": CLIENT, **limit_order(price=0)}, "price is required; the"),
        ("hand", {"client_id": CLIENT, **limit_order(), "source": "P"}, "source: 'P' is not one"),
        ("hand", {"client_id": CLIENT, "correlationId": "x"}, "correlationId: unknown field"),
        ("hand/cancel", {"orderId": "1"}, "orderId: unknown"),
        ("hand/modify", {"orderId": "1", "side": "BUY"}, "side: unknown field; allowed are"),
        ("pieces", {}, "units: a whole number from 1 is needed"),
        ("pieces", {"units": 1, "pause": 0}, "pause: a number from 0.01 is needed"),
        ("pieces", {"units": 1, "segment": "NSE_EQ"}, "securityId: a text is needed"),
    ],
)
def test_bad_input_is_400_and_names_the_field(
    server: Server, path: str, body: dict, message: str
) -> None:
    reply = server.control(path, body)
    assert reply.status_code == 400
    assert reply.json()["error"].startswith(message)


def test_what_is_over_cannot_be_cancelled_by_hand(server: Server) -> None:
    order_id = by_hand(server, fill=True)["orderId"]
    reply = server.control("hand/cancel", {"orderId": order_id})
    assert reply.json()["error"] == "orderId: Order is already Traded"


def test_a_fill_by_hand_leaves_matching_as_it_was(hall: Hall) -> None:
    resting = hall.place(price="1390")
    ticket = Ticket("SELL", "NSE_EQ", "2885", "INTRADAY", "MARKET", "DAY", 5)
    order = hall.exchange.place_by_hand(hall.account(OTHER), ticket, ByHand(fill=True))
    assert (order.status, order.average) == (Status.TRADED, 1402)
    hall.pin("1390")
    assert resting.status == Status.TRADED
