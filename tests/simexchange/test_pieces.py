"""Fills in pieces, and feeds cut for a while."""

import time

import pytest
import websocket

from simexchange.orders import Change, Order, Status
from simexchange.pacing import Pace
from tests.simexchange.harness import CLIENT, OTHER, RELIANCE, TOKEN, Hall, Server, eventually
from tests.simexchange.test_order_updates import Ear, listen

CROSSING = "1410"


def filled(hall: Hall, order: Order) -> list[int]:
    return [units for order_id, _, units in hall.events if order_id == order.order_id and units]


def test_a_crossing_order_is_filled_piece_by_piece(hall: Hall) -> None:
    hall.exchange.set_pace(Pace(4, 1.0))
    order = hall.place(quantity=10, price=CROSSING)
    assert filled(hall, order) == [4]
    hall.arrive()
    hall.arrive()
    assert filled(hall, order) == [4, 8, 10]
    assert order.status == Status.TRADED
    hall.arrive()
    assert hall.waiting == []


def test_a_resting_order_goes_on_in_pieces_when_the_price_comes(hall: Hall) -> None:
    order = hall.place(quantity=10, price="1390")
    hall.exchange.set_pace(Pace(6, 1.0, CLIENT, RELIANCE))
    hall.pin("1390")
    assert filled(hall, order) == []
    hall.arrive()
    assert filled(hall, order) == [6]


def test_others_are_filled_at_once(hall: Hall) -> None:
    hall.exchange.set_pace(Pace(4, 1.0, OTHER))
    hall.exchange.set_pace(Pace(4, 1.0, CLIENT, ("NSE_EQ", "11536")))
    assert hall.place(price=CROSSING).status == Status.TRADED
    assert hall.place(OTHER, price=CROSSING).status == Status.PART_TRADED


def test_a_change_and_a_cancel_find_it_between_two_pieces(hall: Hall) -> None:
    hall.exchange.set_pace(Pace(4, 1.0))
    order = hall.place(quantity=20, price=CROSSING)
    hall.exchange.modify(hall.account(), order.order_id, Change("LIMIT", "DAY", quantity=12))
    assert order.filled == 8
    hall.arrive()
    assert order.filled == 12
    assert order.status == Status.TRADED
    other = hall.place(quantity=20, price=CROSSING)
    hall.exchange.cancel(hall.account(), other.order_id)
    hall.arrive()
    assert (other.status, other.filled) == (Status.CANCELLED, 4)


def test_an_ioc_order_gets_one_piece(hall: Hall) -> None:
    hall.exchange.set_pace(Pace(4, 1.0))
    order = hall.place(quantity=10, price=CROSSING, validity="IOC")
    assert (order.status, order.filled) == (Status.CANCELLED, 4)


def test_without_the_pieces_the_rest_comes_at_its_next_turn(server: Server) -> None:
    server.sim("pieces", {"client_id": CLIENT, "units": 3, "pause": 0.05})
    order_id = server.place(price=1410)
    eventually(lambda: server.row(order_id)["filledQty"] >= 3)
    server.sim("pieces", method="DELETE")
    eventually(lambda: server.row(order_id)["orderStatus"] == "TRADED")
    sizes = [row["tradedQuantity"] for row in server.call("GET", "/trades").json()]
    assert sizes[0] == 3
    assert sum(sizes) == 10


def test_a_reset_ends_the_pieces(server: Server) -> None:
    server.sim("pieces", {"units": 1, "pause": 60})
    server.sim("reset", {"walk": False})
    order_id = server.place(price=1410)
    eventually(lambda: server.row(order_id)["orderStatus"] == "TRADED")


def ends(ear: Ear) -> bool:
    """Whether the connection went down without a closing frame."""
    try:
        ear.socket.recv()
    except (websocket.WebSocketConnectionClosedException, ConnectionError):
        return True
    return False


def test_a_cut_feed_is_gone_for_its_seconds_and_the_rest_goes_on(server: Server) -> None:
    ear = listen(server)
    server.sim("faults", {"fault": "feed_cut", "seconds": 0.4})
    assert ends(ear)
    with pytest.raises((websocket.WebSocketException, ConnectionError)):
        websocket.create_connection(server.feed_url, timeout=3)
    order_id = server.place()
    assert server.settled(order_id)["orderStatus"] == "PENDING"
    time.sleep(0.5)
    again = listen(server)
    server.call("DELETE", f"/orders/{order_id}")
    assert again.hear()["status"] == "Cancelled"
    again.socket.shutdown()
    ear.socket.shutdown()


def test_a_cut_market_feed_takes_no_connection(server: Server) -> None:
    url = server.feed_url.replace("order-update", "market-feed")
    url += f"?version=2&authType=2&token={TOKEN}&clientId={CLIENT}"
    socket = websocket.create_connection(url, timeout=3)
    socket.recv()
    server.sim("faults", {"fault": "market_feed_cut", "seconds": 0.4})
    with pytest.raises((websocket.WebSocketException, ConnectionError)):
        socket.recv()
    with pytest.raises((websocket.WebSocketException, ConnectionError)):
        websocket.create_connection(url, timeout=3)
    socket.shutdown()
    ear = listen(server)
    assert server.sim("report")["fired"] == {"market_feed_cut": 1}
    ear.socket.shutdown()
