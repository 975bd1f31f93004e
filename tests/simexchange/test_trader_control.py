"""Kill switch and exit on profit or loss: over HTTP, with the SDK, and inside."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from dhanhq import dhanhq

from simexchange import journal
from simexchange.guards import PnlExit
from simexchange.orders import Order, Status
from simexchange.sentry import Sentry
from tests.simexchange.harness import CLIENT, OTHER, OTHER_TOKEN, Hall, Server, payload

ACTIVATE = "/killswitch?killSwitchStatus=ACTIVATE"
PIN = {"segment": "NSE_EQ", "securityId": "2885"}


@pytest.fixture
def sentry(hall: Hall) -> Sentry:
    return Sentry(hall.exchange)


def limits(server: Server, **changes: object) -> None:
    body = {**payload("pnl-exit-set.request"), **changes}
    assert server.call("POST", "/pnlExit", body).json() == payload("pnl-exit-set.response")


def exits(server: Server) -> list[dict]:
    return [row for row in server.call("GET", "/orders").json() if row["correlationId"] == "NA"]


def test_the_switch_answers_a_sentence_and_its_state_a_word(server: Server) -> None:
    told = server.call("POST", ACTIVATE).json()
    assert told == {**payload("killswitch-manage.response"), "dhanClientId": CLIENT}
    state = server.call("GET", "/killswitch").json()
    assert state == {**payload("killswitch-status.response"), "dhanClientId": CLIENT}
    server.call("POST", "/killswitch?killSwitchStatus=DEACTIVATE")
    assert server.call("GET", "/killswitch").json()["killSwitchStatus"] == "DEACTIVATE"


def test_the_switch_is_taken_from_a_header_too(server: Server) -> None:
    headers = {"access-token": "token-1", "killSwitchStatus": "ACTIVATE"}
    assert server.call("POST", "/killswitch", headers=headers).status_code == 200
    assert server.call("GET", "/killswitch").json()["killSwitchStatus"] == "ACTIVATE"


@pytest.mark.parametrize("query", ["", "?killSwitchStatus=on", "?killSwitchStatus="])
def test_any_other_word_is_bad_input(server: Server, query: str) -> None:
    reply = server.call("POST", f"/killswitch{query}")
    assert (reply.status_code, reply.json()["errorCode"]) == (400, "DH-905")


def test_a_pending_order_is_in_the_way_of_the_switch(server: Server) -> None:
    order_id = server.place()
    server.settled(order_id)
    refused = server.call("POST", ACTIVATE)
    assert (refused.status_code, refused.json()["errorCode"]) == (400, "DH-903")
    server.call("DELETE", f"/orders/{order_id}")
    assert server.call("POST", ACTIVATE).status_code == 200


def test_an_open_position_is_in_the_way_and_a_closed_one_is_not(server: Server) -> None:
    server.sim("fill", {"orderId": server.place()})
    assert server.call("POST", ACTIVATE).status_code == 400
    server.sim("fill", {"orderId": server.place(transactionType="SELL", price=1500)})
    assert server.call("POST", ACTIVATE).status_code == 200


def test_with_the_switch_on_every_order_of_the_account_is_rejected_in_the_book(
    server: Server,
) -> None:
    server.call("POST", ACTIVATE)
    for side in ("BUY", "SELL"):
        row = server.settled(server.place(transactionType=side))
        assert row["orderStatus"] == "REJECTED"
        assert "Kill Switch is active" in row["omsErrorDescription"]
    other = server.place(token=OTHER_TOKEN)
    assert server.settled(other, token=OTHER_TOKEN)["orderStatus"] == "PENDING"


def test_the_switch_counts_for_its_day_alone(hall: Hall, sentry: Sentry) -> None:
    sentry.kill(hall.account(), True)
    assert hall.place(price="1300").status == Status.REJECTED
    hall.next_day()
    assert hall.place(price="1300").status == Status.PENDING


def test_switch_and_exit_survive_a_restart(tmp_path: Path) -> None:
    hall = Hall(state=tmp_path / "state")
    sentry = Sentry(hall.exchange)
    sentry.kill(hall.account(), True)
    armed = PnlExit(sentry.today, Decimal(9), Decimal("8.5"), ["DELIVERY"], True)
    sentry.arm(hall.account(OTHER), armed)
    hall.ledger.close()
    later = Hall(state=tmp_path / "state")
    later.exchange.restore(journal.read(tmp_path / "state"))
    assert later.account().guards.is_killed(sentry.today)
    assert later.account(OTHER).guards.pnl_exit == armed
    later.ledger.close()


def test_a_reset_forgets_switch_and_exit(server: Server) -> None:
    server.call("POST", ACTIVATE)
    limits(server)
    server.sim("reset", {"walk": False})
    assert server.call("GET", "/killswitch").json()["killSwitchStatus"] == "DEACTIVATE"
    assert server.call("GET", "/pnlExit").json()["pnlExitStatus"] == "INACTIVE"


def test_the_exit_is_told_as_documented(server: Server) -> None:
    limits(server)
    assert server.call("GET", "/pnlExit").json() == payload("pnl-exit-get.response")
    assert server.call("DELETE", "/pnlExit").json() == payload("pnl-exit-stop.response")
    assert server.call("GET", "/pnlExit").json()["pnlExitStatus"] == "INACTIVE"


@pytest.mark.parametrize(
    "changes",
    [
        {"profitValue": None},
        {"lossValue": "0.00"},
        {"lossValue": "-500"},
        {"profitValue": "much"},
        {"productType": []},
        {"productType": "INTRADAY"},
        {"productType": ["INTRADAY", "CNC"]},
        {"enableKillSwitch": "true"},
    ],
)
def test_a_bad_limit_is_refused_and_the_old_one_stays(server: Server, changes: dict) -> None:
    limits(server)
    reply = server.call("POST", "/pnlExit", {**payload("pnl-exit-set.request"), **changes})
    assert (reply.status_code, reply.json()["errorCode"]) == (400, "DH-905")
    assert server.call("GET", "/pnlExit").json()["pnlExitStatus"] == "ACTIVE"


def test_a_loss_ends_positions_and_orders_and_then_turns_the_switch(server: Server) -> None:
    limits(server, lossValue="100.00")
    server.sim("fill", {"orderId": server.place(price=1400), "price": 1400})
    resting = server.place(price=1300)
    server.settled(resting)
    server.sim("price", {**PIN, "price": 1390.1})
    assert exits(server) == []
    server.sim("price", {**PIN, "price": 1390})
    (out,) = exits(server)
    server.settled(out["orderId"])
    assert server.row(resting)["orderStatus"] == "CANCELLED"
    assert server.call("GET", "/positions").json()[0]["positionType"] == "CLOSED"
    assert server.call("GET", "/pnlExit").json()["pnlExitStatus"] == "INACTIVE"
    server.sim("price", {**PIN, "price": 1389})
    assert server.call("GET", "/killswitch").json()["killSwitchStatus"] == "ACTIVATE"
    assert len(exits(server)) == 1


def test_a_limit_that_is_reached_already_fires_at_once(server: Server) -> None:
    server.sim("fill", {"orderId": server.place(price=1400), "price": 1400})
    server.sim("price", {**PIN, "price": 1420})
    limits(server, profitValue=150, enableKillSwitch=False)
    assert len(exits(server)) == 1
    server.settled(exits(server)[0]["orderId"])
    assert server.call("GET", "/killswitch").json()["killSwitchStatus"] == "DEACTIVATE"


def bought(hall: Hall, product: str) -> Order:
    order = hall.place(product=product, price="1300")
    hall.exchange.force_fill(order, 10, Decimal(1300))
    return order


def test_only_the_named_products_count_and_are_left(hall: Hall, sentry: Sentry) -> None:
    bought(hall, "CNC")
    bought(hall, "INTRADAY")
    sentry.arm(hall.account(), PnlExit(sentry.today, Decimal(1500), Decimal(900), ["INTRADAY"]))
    assert len(hall.ledger.orders) == 2
    sentry.arm(hall.account(), PnlExit(sentry.today, Decimal(1000), Decimal(900), ["INTRADAY"]))
    hall.arrive()
    open_units = {p.product: p.open for p in hall.account().positions.values()}
    assert open_units == {"CNC": 10, "INTRADAY": 0}


def test_an_exit_does_not_outlive_its_day(hall: Hall, sentry: Sentry) -> None:
    sentry.arm(hall.account(), PnlExit(sentry.today, Decimal(100), Decimal(100), ["INTRADAY"]))
    hall.next_day()
    bought(hall, "INTRADAY")
    hall.pin("1400")
    assert [order.source for order in hall.ledger.orders.values()] == ["P"]


def test_from_a_wrong_address_the_brakes_can_be_read_and_not_touched(server: Server) -> None:
    server.sim("address", {"client_id": CLIENT, "allowed": False})
    assert server.call("POST", ACTIVATE).json()["errorMessage"] == "Invalid IP"
    assert server.call("DELETE", "/pnlExit").json()["errorMessage"] == "Invalid IP"
    assert server.call("GET", "/killswitch").status_code == 200
    assert server.call("GET", "/pnlExit").status_code == 200


@pytest.fixture
def braked(sdk: dhanhq, server: Server) -> Iterator[dhanhq]:
    yield sdk
    server.sim("reset", {"walk": False})


def test_the_brakes_through_the_sdk(server: Server, braked: dhanhq) -> None:
    turned = braked.kill_switch("activate")
    assert (turned["status"], turned["data"]["dhanClientId"]) == ("success", CLIENT)
    assert braked.status_kill_switch()["data"]["killSwitchStatus"] == "ACTIVATE"
    assert braked.kill_switch("deactivate")["status"] == "success"
    order_id = server.place()
    server.settled(order_id)
    assert braked.kill_switch("activate")["remarks"]["error_code"] == "DH-903"
    assert braked.set_pnl_exit(1500, 500, ["INTRADAY"], True)["status"] == "success"
    assert braked.get_pnl_exit()["data"]["loss"] == "500.00"
    assert braked.stop_pnl_exit()["data"]["pnlExitStatus"] == "DISABLED"


@pytest.mark.parametrize(
    ("endpoint", "method", "path"),
    [
        ("kill_switch", "POST", ACTIVATE),
        ("kill_status", "GET", "/killswitch"),
        ("pnl_exit", "DELETE", "/pnlExit"),
        ("pnl_status", "GET", "/pnlExit"),
        ("edis", "GET", "/edis/inquire/ALL"),
    ],
)
def test_each_can_fail_by_itself(server: Server, endpoint: str, method: str, path: str) -> None:
    server.sim("faults", {"fault": "http_500", "endpoint": endpoint, "times": 1})
    assert server.call("GET", "/profile").status_code == 200
    assert server.call(method, path).status_code == 500
    assert server.call(method, path).status_code == 200
