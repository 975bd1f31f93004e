"""The control API: what a test may read and force, and how it says no."""

import json
import subprocess
import sys

import pytest

from simexchange import instruments
from tests.simexchange.harness import CLIENT, ROOT, Server, limit_order

PIN = {"segment": "NSE_EQ", "securityId": "2885"}


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("price", {**PIN, "price": "dear"}, "price: a number from 0.01 is needed"),
        ("price", {**PIN}, "price: a number from 0.01 is needed"),
        ("price", {**PIN, "securityId": "1", "price": 5}, "securityId: unknown in this segment"),
        ("walk", {"on": "yes"}, "on: true or false is needed"),
        ("walk", {"off": True}, "off: unknown field; allowed are on"),
        ("fill", {"orderId": "1"}, "orderId: unknown"),
        ("fill", {}, "orderId: a text is needed"),
        ("reject", {"orderId": "1"}, "orderId: unknown"),
        ("faults", {"fault": "fire"}, "fault: 'fire' is not one of drop_before_accept"),
        ("faults", {"fault": "slow", "endpoint": "x"}, "endpoint: 'x' is not one of place"),
        ("faults", {"fault": "slow", "times": 0}, "times: a whole number from 1 is needed"),
        ("faults", {"fault": "slow", "probability": 2}, "probability: a number from 0 to 1"),
        ("faults", {"fault": "slow", "seconds": -1}, "seconds: a number from 0 is needed"),
        ("faults", {"fault": "slow", "acept": True}, "acept: unknown field; allowed are fault"),
        ("feed", {"action": "stop"}, "action: 'stop' is not one of disconnect, silence, resume"),
        ("market_feed", {"action": "stop"}, "action: 'stop' is not one of disconnect, silence, f"),
        ("market_feed", {"action": "disconnect", "reason": "x"}, "reason: a whole number from 1"),
        ("feed", {"action": "silence", "client_id": "9"}, "client_id: unknown; known are 1000"),
        ("token", {"client_id": "9", "token": "t"}, "client_id: unknown; known are 1000"),
        ("token", {"client_id": CLIENT, "token": "token-2"}, "token: already in use"),
        ("accounts", {"client_id": CLIENT, "token": "t"}, "client_id: 1000000001 is there"),
        ("limits", {}, "on: true or false is needed"),
        ("reset", [1], "body: a JSON object is needed"),
        ("requests?since=x", None, "since: the number of a request is needed"),
    ],
)
def test_bad_input_is_400_and_names_the_field(
    server: Server, path: str, body: object, message: str
) -> None:
    reply = server.control(path, body)
    assert reply.status_code == 400
    assert reply.json()["error"].startswith(message)


def test_a_body_that_is_not_json(server: Server) -> None:
    reply = server.http.post(f"{server.url}/_sim/walk", data="{on", timeout=5)
    assert (reply.status_code, reply.json()) == (400, {"error": "body: JSON is needed"})


def test_an_unknown_fault_number_cannot_be_removed(server: Server) -> None:
    reply = server.control("faults/99", method="DELETE")
    assert (reply.status_code, reply.json()["error"]) == (400, "id: there is no fault 99")


def test_a_pinned_price_fills_what_it_reaches(server: Server) -> None:
    order_id = server.place(price=1390)
    server.settled(order_id)
    assert server.sim("price", {**PIN, "price": 1389.95}) == {"price": 1389.9}
    row = server.row(order_id)
    assert (row["orderStatus"], row["averageTradedPrice"]) == ("TRADED", 1390.0)


def test_a_price_beyond_the_band_stops_at_the_band(server: Server) -> None:
    assert server.sim("price", {**PIN, "price": 9999}) == {"price": 1542.2}


def test_the_walk_moves_prices_when_on(server: Server) -> None:
    before = server.sim("state")["prices"]
    server.sim("walk", {"on": True})
    while server.sim("state")["prices"] == before:
        pass
    server.sim("walk", {"on": False})
    still = server.sim("state")["prices"]
    assert server.sim("state")["prices"] == still


def test_forced_fills_in_parts_and_at_a_price(server: Server) -> None:
    server.sim("auto", {"on": False})
    order_id = server.place(price=1500)
    told = server.sim("fill", {"orderId": order_id, "quantity": 4, "price": 1450.5})
    assert told == {
        "orderId": order_id,
        "orderStatus": "PART_TRADED",
        "filledQty": 4,
        "remainingQuantity": 6,
    }
    assert server.row(order_id)["averageTradedPrice"] == 1450.5
    assert server.sim("fill", {"orderId": order_id})["orderStatus"] == "TRADED"
    reply = server.control("fill", {"orderId": order_id})
    assert reply.json()["error"] == "orderId: the order is TRADED already"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"quantity": 11}, "quantity: a whole number from 1 to 10 is needed"),
        ({"price": 1301}, "price: 1301 is worse than the limit of 1300"),
    ],
)
def test_a_forced_fill_keeps_the_orders_limits(server: Server, more: dict, message: str) -> None:
    order_id = server.place()
    assert server.control("fill", {"orderId": order_id, **more}).json()["error"] == message


def test_a_forced_fill_of_an_order_in_transit_lets_it_arrive_first(server: Server) -> None:
    order_id = server.place()
    assert server.sim("fill", {"orderId": order_id})["orderStatus"] == "TRADED"


def test_a_forced_rejection(server: Server) -> None:
    order_id = server.place()
    server.sim("reject", {"orderId": order_id, "reason": "Blocked for today."})
    row = server.row(order_id)
    assert row["orderStatus"] == "REJECTED"
    assert row["omsErrorDescription"] == f"RMS:{order_id}:Blocked for today."


def test_the_report_counts_by_correlation_id(server: Server) -> None:
    order_id = server.place(correlationId="r1")
    server.settled(order_id)
    found = server.sim("report")
    (row,) = found["accepted"]["r1"]
    assert (row["orderId"], row["clientId"], row["orderStatus"]) == (order_id, CLIENT, "PENDING")
    assert (row["quantity"], row["filledQty"]) == (10, 0)
    assert found["orders"] == 1
    assert found["requests"]["place"] == 1
    assert found["doubled"] == []


def test_the_report_has_every_fill_in_its_order(server: Server) -> None:
    order_id = server.place(correlationId="r1")
    for quantity in (4, 6):
        server.sim("fill", {"orderId": order_id, "quantity": quantity})
    fills = server.sim("report")["fills"]
    assert [fill["quantity"] for fill in fills] == [4, 6]
    assert fills[0]["at"] <= fills[1]["at"]
    names = ("orderId", "correlationId", "clientId", "transactionType", "productType", "byHand")
    assert [fills[0][name] for name in names] == [order_id, "r1", CLIENT, "BUY", "INTRADAY", False]


def test_the_request_log_can_be_read_from_a_point_on(server: Server) -> None:
    server.call("GET", "/profile")
    last = server.sim("requests?since=0")[-1]["n"]
    server.call("GET", "/fundlimit")
    assert [visit["endpoint"] for visit in server.sim(f"requests?since={last}")] == ["funds"]


def test_an_added_account_trades(server: Server) -> None:
    server.sim("accounts", {"client_id": "1000000033", "token": "t33", "balance": "2000.50"})
    funds = server.call("GET", "/fundlimit", token="t33").json()
    assert funds["availabelBalance"] == 2000.5
    order_id = server.place(token="t33")
    assert server.settled(order_id, token="t33")["orderStatus"] == "REJECTED"


def test_a_moved_clock_stamps_orders(server: Server) -> None:
    day = server.sim("clock", {"shift_seconds": 86400})["now"][:10]
    order_id = server.place()
    assert server.row(order_id)["createTime"].startswith(day)


def test_reset_empties_everything_but_the_accounts(server: Server) -> None:
    server.place(price=1410)
    server.sim("faults", {"fault": "http_500"})
    server.sim("reset", {})
    assert server.call("GET", "/orders").json() == []
    assert server.call("GET", "/positions").json() == []
    assert server.sim("report")["orders"] == 0
    assert server.call("GET", "/fundlimit").json()["availabelBalance"] == 1_000_000.0


def test_state_shows_funds_positions_and_orders(server: Server) -> None:
    order_id = server.place()
    first = server.sim("state")["accounts"][0]
    assert first["funds"]["dhanClientId"] == CLIENT
    assert [row["orderId"] for row in first["orders"]] == [order_id]


def test_instruments_are_printed_as_they_are_served(server: Server) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "simexchange", "--print-instruments"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    rows = json.loads(printed.stdout)
    assert rows == server.sim("instruments")
    assert {"RELIANCE", "TCS", "HDFCBANK", "INFY", "SBIN", "ITC", "NIFTY"} <= {
        row["symbol"] for row in rows
    }


def test_a_printed_table_can_be_read_back(tmp_path) -> None:
    table = instruments.load()
    copy = tmp_path / "copy.json"
    copy.write_text(json.dumps([instruments.to_row(each) for each in table.values()]))
    assert instruments.load(copy) == table


def test_every_instrument_starts_on_its_tick_and_in_its_band() -> None:
    for each in instruments.load().values():
        assert each.lower < each.close < each.upper
        assert all(price % each.tick == 0 for price in (each.lower, each.close, each.upper))
        assert each.freeze % each.lot == 0


def test_accounts_come_from_a_file(tmp_path) -> None:
    path = tmp_path / "accounts.json"
    held = {"segment": "NSE_EQ", "securityId": "1660", "quantity": 50, "avgCostPrice": 400.5}
    row = {"client_id": "42", "token": "t42", "balance": 700.25, "holdings": [held]}
    path.write_text(json.dumps([row]))
    server = Server("--accounts", str(path))
    try:
        funds = server.call("GET", "/fundlimit", token="t42").json()
        assert (funds["dhanClientId"], funds["availabelBalance"]) == ("42", 700.25)
        (holding,) = server.call("GET", "/holdings", token="t42").json()
        assert (holding["tradingSymbol"], holding["totalQty"]) == ("ITC", 50)
        assert server.call("POST", "/orders", limit_order()).status_code == 401
    finally:
        server.kill()


SAME_TOKEN = [{"client_id": name, "token": "t", "balance": 1} for name in "12"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "a JSON list of objects"),
        ('[{"client_id": "1"}]', "a JSON list of objects"),
        (json.dumps(SAME_TOKEN), "each account needs a token of its own"),
    ],
)
def test_a_bad_accounts_file_is_said_in_one_line(tmp_path, text: str, message: str) -> None:
    path = tmp_path / "accounts.json"
    path.write_text(text)
    tried = subprocess.run(
        [sys.executable, "-m", "simexchange", "--port", "0", "--accounts", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert tried.returncode == 1
    assert tried.stderr.count("\n") == 1
    assert message in tried.stderr


def test_a_port_in_use_is_said_in_one_line(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    tried = subprocess.run(
        [sys.executable, "-m", "simexchange", "--port", port],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert tried.returncode == 1
    assert tried.stderr.count("\n") == 1
    assert port in tried.stderr
