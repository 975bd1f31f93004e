"""The order update socket, heard with the SDK's own class and with a bare client."""

import asyncio
import json
import struct
import threading
import time
from collections.abc import Iterator

import pytest
import websocket
from aiohttp import ClientSession, WSMsgType, web
from dhanhq import DhanContext
from dhanhq.orderupdate import OrderUpdate

from simexchange import sockets
from simexchange.faults import Faults
from tests.simexchange.harness import (
    CLIENT,
    OTHER,
    OTHER_TOKEN,
    TOKEN,
    Hall,
    Server,
    eventually,
    payload,
)


class Ear:
    """A logged-in connection and what it has heard."""

    def __init__(self, server: Server, client_id: str = CLIENT, token: str = TOKEN) -> None:
        self.socket = websocket.create_connection(server.feed_url, timeout=3)
        login = {"MsgCode": 42, "ClientId": client_id, "Token": token}
        self.socket.send(json.dumps({"LoginReq": login, "UserType": "SELF"}))

    def hear(self) -> dict:
        return json.loads(self.socket.recv())["Data"]

    def hear_until(self, status: str) -> list[dict]:
        heard = [self.hear()]
        while heard[-1]["status"] != status:
            heard.append(self.hear())
        return heard

    def hears_nothing(self, seconds: float = 0.15) -> bool:
        self.socket.settimeout(seconds)
        try:
            self.socket.recv()
        except websocket.WebSocketTimeoutException:
            return True
        finally:
            self.socket.settimeout(3)
        return False


@pytest.fixture
def ear(server: Server) -> Iterator[Ear]:
    ear = listen(server)
    yield ear
    ear.socket.shutdown()


def listen(server: Server, client_id: str = CLIENT, token: str = TOKEN) -> Ear:
    before = server.sim("report")["feed_connections"].get(client_id, 0)
    ear = Ear(server, client_id, token)
    eventually(lambda: server.sim("report")["feed_connections"].get(client_id, 0) > before)
    return ear


def keys_without(name: str, *extra: str) -> set[str]:
    """Keys of a recorded frame, but for those only some platforms send."""
    return set(payload(name)["Data"]) - {"strategyId", *extra}


def test_the_sdks_order_update_class_hears_a_fill(server: Server) -> None:
    updates = OrderUpdate(DhanContext(CLIENT, TOKEN))
    updates.order_feed_wss = server.feed_url
    heard = []
    updates.on_update = heard.append
    before = server.sim("report")["feed_connections"].get(CLIENT, 0)
    threading.Thread(target=updates.connect_to_dhan_websocket_sync, daemon=True).start()
    eventually(lambda: server.sim("report")["feed_connections"].get(CLIENT, 0) > before)
    order_id = server.place(price=1410, correlationId="heard")
    eventually(lambda: heard and heard[-1]["Data"]["status"] == "Traded")
    assert {frame["Type"] for frame in heard} == {"order_alert"}
    assert {frame["Data"]["orderNo"] for frame in heard} == {order_id}
    assert {frame["Data"]["correlationId"] for frame in heard} == {"heard"}
    server.sim("feed", {"action": "disconnect"})


def test_a_pending_frame_has_the_recorded_keys(server: Server, ear: Ear) -> None:
    server.place()
    frame = ear.hear()
    assert set(frame) == keys_without("observed-ws-order-update-pending")
    assert (frame["status"], frame["product"], frame["txnType"]) == ("Pending", "I", "B")
    assert (frame["orderType"], frame["segment"], frame["source"]) == ("LMT", "E", "P")
    assert frame["expiryDate"] == "0001-01-01 00:00:00"
    assert "tradedQty" not in frame


def test_a_rejected_frame_has_the_recorded_keys(server: Server, ear: Ear) -> None:
    order_id = server.place(quantity=300_000)
    frame = ear.hear()
    recorded = keys_without("observed-ws-order-update-rejected")
    assert set(frame) == recorded | {"price"}
    assert (frame["status"], frame["exchOrderNo"]) == ("Rejected", "0")
    assert frame["exchOrderTime"] == "0001-01-01 00:00:00"
    assert frame["reasonDescription"].startswith(f"RMS:{order_id}:You have insufficient funds.")


def test_a_traded_option_frame_has_the_recorded_keys(server: Server, ear: Ear) -> None:
    contract = {"exchangeSegment": "NSE_FNO", "securityId": "53104", "transactionType": "SELL"}
    server.place(**contract, quantity=65, price=145)
    frame = ear.hear_until("Traded")[-1]
    assert set(frame) == keys_without("observed-ws-order-update-traded-api")
    assert frame["reasonDescription"] == "TRADE CONFIRMED"
    assert (frame["tradedQty"], frame["optType"], frame["strikePrice"]) == (65, "PE", 24500)
    assert (frame["segment"], frame["expiryDate"], frame["series"]) == ("D", "2027-12-28", "XX")


def test_fills_are_cumulative_and_the_last_one_leaves_no_remainder(
    server: Server, ear: Ear
) -> None:
    order_id = server.place()
    server.settled(order_id)
    for quantity in (3, 3, 4):
        server.sim("fill", {"orderId": order_id, "quantity": quantity})
    frames = ear.hear_until("Traded")
    assert [frame["status"] for frame in frames] == [
        "Pending",
        "Part_traded",
        "Part_traded",
        "Traded",
    ]
    assert [frame.get("tradedQty", 0) for frame in frames] == [0, 3, 6, 10]
    assert [frame.get("remainingQuantity") for frame in frames] == [10, 7, 4, None]


def test_modified_and_cancelled_frames(server: Server, ear: Ear) -> None:
    order_id = server.place()
    server.settled(order_id)
    change = {"orderType": "LIMIT", "validity": "DAY", "price": 1301}
    server.call("PUT", f"/orders/{order_id}", change)
    server.call("DELETE", f"/orders/{order_id}")
    frames = ear.hear_until("Cancelled")
    assert [frame["status"] for frame in frames] == ["Pending", "Modified", "Cancelled"]
    assert frames[1]["price"] == 1301


def test_an_expired_frame(server: Server, ear: Ear) -> None:
    order_id = server.place()
    server.settled(order_id)
    assert server.sim("expire", {})["expired"] == [order_id]
    assert [frame["status"] for frame in ear.hear_until("Expired")] == ["Pending", "Expired"]


def test_every_connection_of_the_client_hears_and_no_other(server: Server, ear: Ear) -> None:
    second, stranger = listen(server), listen(server, OTHER, OTHER_TOKEN)
    server.place()
    assert ear.hear()["orderNo"] == second.hear()["orderNo"]
    assert stranger.hears_nothing()
    second.socket.shutdown(), stranger.socket.shutdown()


def test_the_root_path_serves_the_feed_too(server: Server) -> None:
    socket = websocket.create_connection(server.url.replace("http", "ws"), timeout=3)
    login = {"MsgCode": 42, "ClientId": CLIENT, "Token": TOKEN}
    socket.send(json.dumps({"LoginReq": login, "UserType": "SELF"}))
    eventually(lambda: server.sim("report")["feed_connections"])
    server.place()
    assert json.loads(socket.recv())["Type"] == "order_alert"
    socket.shutdown()


@pytest.mark.parametrize(
    "message",
    [
        json.dumps({"LoginReq": {"MsgCode": 42, "ClientId": CLIENT, "Token": "bad"}}),
        json.dumps({"LoginReq": {"MsgCode": 42, "ClientId": OTHER, "Token": TOKEN}}),
        json.dumps({"LoginReq": {"MsgCode": 1, "ClientId": CLIENT, "Token": TOKEN}}),
        json.dumps({"LoginReq": "hello"}),
        json.dumps([1]),
        "not json",
    ],
)
def test_a_bad_login_gets_code_50_reason_807_and_the_door(server: Server, message: str) -> None:
    socket = websocket.create_connection(server.feed_url, timeout=3)
    socket.send(message)
    kind, packet = socket.recv_data()
    assert kind == websocket.ABNF.OPCODE_BINARY
    assert struct.unpack("<BhBih", packet) == (50, 10, 0, 0, 807)
    assert socket.recv_data()[0] == websocket.ABNF.OPCODE_CLOSE
    socket.shutdown()


def test_nothing_is_sent_before_the_login(server: Server) -> None:
    socket = websocket.create_connection(server.feed_url, timeout=0.15)
    server.place()
    with pytest.raises(websocket.WebSocketTimeoutException):
        socket.recv()
    socket.shutdown()


def test_a_ping_is_answered(server: Server, ear: Ear) -> None:
    ear.socket.ping("are you there")
    kind, data = ear.socket.recv_data(control_frame=True)
    assert (kind, data) == (websocket.ABNF.OPCODE_PONG, b"are you there")


def test_a_new_token_ends_the_old_connections(server: Server, ear: Ear) -> None:
    server.sim("token", {"client_id": CLIENT, "token": "token-new"})
    try:
        kind, packet = ear.socket.recv_data()
        assert (kind, packet[-2:]) == (websocket.ABNF.OPCODE_BINARY, struct.pack("<h", 807))
        assert server.call("GET", "/orders").status_code == 401
        assert server.call("GET", "/orders", token="token-new").status_code == 200
    finally:
        server.sim("token", {"client_id": CLIENT, "token": TOKEN})


def test_a_disconnect_on_command(server: Server, ear: Ear) -> None:
    assert server.sim("feed", {"action": "disconnect", "client_id": CLIENT})["disconnected"] == 1
    assert ear.socket.recv_data()[0] == websocket.ABNF.OPCODE_CLOSE


def test_a_silent_feed_loses_frames_but_answers_pings(server: Server, ear: Ear) -> None:
    server.sim("feed", {"action": "silence"})
    server.settled(server.place())
    assert ear.hears_nothing()
    ear.socket.ping("x")
    assert ear.socket.recv_data(control_frame=True)[0] == websocket.ABNF.OPCODE_PONG
    server.sim("feed", {"action": "resume"})
    order_id = server.place()
    assert ear.hear()["orderNo"] == order_id


def test_duplicate_frames(server: Server, ear: Ear) -> None:
    server.sim("faults", {"fault": "duplicate_frames", "times": 1})
    server.place()
    assert ear.hear() == ear.hear()


def test_dropped_frames(server: Server, ear: Ear) -> None:
    server.sim("faults", {"fault": "dropped_frames", "times": 1})
    order_id = server.place()
    server.settled(order_id)
    server.call("DELETE", f"/orders/{order_id}")
    assert ear.hear()["status"] == "Cancelled"


def test_delayed_frames(server: Server, ear: Ear) -> None:
    server.sim("faults", {"fault": "delayed_frames", "times": 1, "seconds": 0.2})
    started = time.monotonic()
    server.place()
    assert ear.hear()["status"] == "Pending"
    assert time.monotonic() - started >= 0.2


def test_reordered_frames(server: Server, ear: Ear) -> None:
    server.sim("faults", {"fault": "reordered_frames", "times": 1})
    order_id = server.place()
    server.settled(order_id)
    server.call("DELETE", f"/orders/{order_id}")
    assert [ear.hear()["status"] for _ in range(2)] == ["Cancelled", "Pending"]


def test_a_feed_fault_closes_the_connection_at_the_next_frame(server: Server, ear: Ear) -> None:
    server.sim("faults", {"fault": "feed_disconnect", "times": 1})
    server.place()
    assert ear.socket.recv_data()[0] == websocket.ABNF.OPCODE_CLOSE


def test_who_does_not_log_in_is_shown_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LOGIN_SECONDS", 0.05)

    async def visit() -> WSMsgType:
        app = web.Application()
        feed = sockets.OrderFeed(Hall().ledger, Faults(1))
        app.add_routes([web.get("/", feed.serve)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with ClientSession() as session:
            socket = await session.ws_connect(f"http://127.0.0.1:{runner.addresses[0][1]}/")
            message = await socket.receive(timeout=2)
        await runner.cleanup()
        return message.type

    assert asyncio.run(visit()) is WSMsgType.CLOSE
