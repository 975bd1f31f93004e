"""What an exchange with a state file remembers, however it ended."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
import requests
import websocket

from simexchange import journal
from simexchange.journal import Journal, StartError, order_entry
from simexchange.orders import Status
from tests.simexchange.harness import CLIENT, TOKEN, Hall, Server, eventually

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers on one state file, and ends them."""
    servers: list[Server] = []

    def run(*arguments: str) -> Server:
        state = str(tmp_path / "state")
        servers.append(Server("--state", state, "--tick-ms", "100000", *arguments))
        return servers[-1]

    yield run
    for server in servers:
        if server.process.poll() is None:
            server.kill()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], Hall]]:
    """Opens exchanges without network on one state file, each after the end of the last."""
    halls: list[Hall] = []

    def run() -> Hall:
        for hall in halls:
            hall.ledger.close()
        halls.append(Hall(state=tmp_path / "state"))
        return halls[-1]

    yield run
    for hall in halls:
        hall.ledger.close()


def test_a_killed_exchange_forgets_nothing_it_accepted(start: Start) -> None:
    server = start()
    placed = [server.place(correlationId=f"k{n}") for n in range(8)]
    server.kill()
    server = start()
    rows = server.call("GET", "/orders").json()
    assert [row["orderId"] for row in rows] == placed
    assert [row["correlationId"] for row in rows] == [f"k{n}" for n in range(8)]
    assert server.place() not in placed


def test_an_order_killed_in_transit_arrives_after_the_restart(start: Start) -> None:
    server = start("--transit-ms", "60000")
    order_id = server.place()
    server.kill()
    server = start()
    eventually(lambda: server.row(order_id)["orderStatus"] == "PENDING")


def test_trades_positions_and_funds_come_back(start: Start) -> None:
    server = start()
    order_id = server.place(price=1410)
    eventually(lambda: server.row(order_id)["orderStatus"] == "TRADED")
    paths = ("/orders", "/trades", "/positions", "/fundlimit")
    before = [server.call("GET", path).json() for path in paths]
    server.kill()
    server = start()
    assert [server.call("GET", path).json() for path in paths] == before


def test_a_resting_order_still_trades_after_a_restart(start: Start) -> None:
    server = start()
    order_id = server.place(price=1390)
    server.settled(order_id)
    server.kill()
    server = start()
    server.sim("price", {"segment": "NSE_EQ", "securityId": "2885", "price": 1389})
    assert server.row(order_id)["orderStatus"] == "TRADED"
    assert server.call("GET", "/fundlimit").json()["utilizedAmount"] == 2780.0


def test_prices_survive_a_proper_end_and_it_takes_less_than_a_second(start: Start) -> None:
    server = start()
    server.sim("price", {"segment": "NSE_EQ", "securityId": "2885", "price": 1390})
    assert server.stop() < 1
    assert server.process.returncode == 0
    server = start()
    assert server.sim("state")["prices"]["NSE_EQ/2885"] == 1390.0


def test_hanging_requests_and_open_sockets_do_not_hold_up_the_end(start: Start) -> None:
    server = start()
    server.sim("faults", {"fault": "hang", "seconds": 60})
    with pytest.raises(requests.ReadTimeout):
        server.call("GET", "/orders", timeout=0.05)
    socket = websocket.create_connection(server.feed_url, timeout=3)
    login = {"MsgCode": 42, "ClientId": CLIENT, "Token": TOKEN}
    socket.send(json.dumps({"LoginReq": login, "UserType": "SELF"}))
    assert server.stop() < 5  # the request alone would hang for a minute
    socket.shutdown()


def test_an_added_account_and_a_new_token_come_back(start: Start) -> None:
    server = start()
    server.sim("accounts", {"client_id": "1000000077", "token": "t77", "balance": 5000})
    server.sim("token", {"client_id": CLIENT, "token": "newer"})
    server.kill()
    server = start()
    funds = server.call("GET", "/fundlimit", token="t77").json()
    assert funds["availabelBalance"] == 5000.0
    assert server.call("GET", "/orders", token="newer").status_code == 200


def test_a_reset_is_remembered_and_ids_do_not_come_back(start: Start) -> None:
    server = start()
    first = server.place()
    server.sim("reset", {})
    server.kill()
    server = start()
    assert server.call("GET", "/orders").json() == []
    assert server.place() != first


def test_a_line_cut_short_is_ignored(tmp_path: Path, opened: Callable[[], Hall]) -> None:
    path = tmp_path / "state"
    hall = opened()
    kept = hall.place(price="1300")
    with path.open("ab") as file:
        file.write(b'{"numbers": {"order": 9}, "ord')
    later = opened()
    later.exchange.restore(journal.read(tmp_path / "state"))
    assert list(later.ledger.orders) == [kept.order_id]
    again = later.place(price="1310")
    last = opened()
    last.exchange.restore(journal.read(tmp_path / "state"))
    assert list(last.ledger.orders) == [kept.order_id, again.order_id]


def test_stops_and_partial_fills_are_restored_as_they_stood(
    tmp_path: Path, opened: Callable[[], Hall]
) -> None:
    hall = opened()
    stop = hall.place(order_type="STOP_LOSS", trigger="1410", price="1412")
    part = hall.place(price="1300")
    hall.exchange.force_fill(part, 4, Decimal(1300))
    later = opened()
    later.exchange.restore(journal.read(tmp_path / "state"))
    market = later.exchange.markets["NSE_EQ", "2885"]
    assert [order.order_id for order in market.stops] == [stop.order_id]
    restored = later.ledger.orders[part.order_id]
    assert (restored.status, restored.filled, restored.value) == (
        Status.PART_TRADED,
        4,
        Decimal(5200),
    )
    assert later.account().utilised == hall.account().utilised


NEW_FIELDS = {
    "orders": ("source", "leg", "parent", "watched", "shown", "profit_by", "loss_by"),
    "accounts": ("guards", "delivery"),
}


def test_a_state_from_before_brakes_and_brackets_is_taken_up(
    tmp_path: Path, opened: Callable[[], Hall]
) -> None:
    path, hall = tmp_path / "state", opened()
    hall.ledger.save_account(hall.account())
    order = hall.place(price="1300")
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    for entry in entries:
        entry.pop("supers", None)
        for kind, names in NEW_FIELDS.items():
            for row, name in product(entry.get(kind, ()), names):
                del row[name]
    later = opened()
    later.exchange.restore(iter(entries))
    restored = later.ledger.orders[order.order_id]
    assert order_entry(restored) == order_entry(order)
    assert later.account().guards == hall.account().guards


def test_a_state_of_other_accounts_is_refused_with_a_reason(
    tmp_path: Path, opened: Callable[[], Hall]
) -> None:
    opened().place(price="1300")
    later = opened()
    del later.ledger.accounts[CLIENT]
    with pytest.raises(StartError, match="account 1000000001"):
        later.exchange.restore(journal.read(tmp_path / "state"))


def test_a_second_exchange_on_one_state_file_is_kept_away(tmp_path: Path) -> None:
    first = Journal(tmp_path / "state")
    with pytest.raises(StartError, match="another exchange is using"):
        Journal(tmp_path / "state")
    first.close()
    Journal(tmp_path / "state").close()
