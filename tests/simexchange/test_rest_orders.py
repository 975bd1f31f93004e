"""Orders over HTTP: statuses, bodies and field names as on the wire."""

import json

import pytest

from tests.simexchange.harness import (
    CLIENT,
    OTHER,
    OTHER_TOKEN,
    Server,
    eventually,
    limit_order,
    payload,
)

BAD_INPUT = payload("observed-sandbox-error-bad-request")


def error_of(reply) -> tuple[int, str]:
    return reply.status_code, reply.json()["errorCode"]


def at_market() -> dict:
    return {"orderType": "MARKET", "price": 0}


def test_placing_answers_an_id_in_transit(server: Server) -> None:
    reply = server.call("POST", "/orders", limit_order())
    body = reply.json()
    assert reply.status_code == 200
    assert body == {"orderId": body["orderId"], "orderStatus": "TRANSIT"}
    assert body["orderId"].isdigit()
    assert 12 <= len(body["orderId"]) <= 15


def test_order_row_has_the_names_of_the_wire(server: Server) -> None:
    row = server.settled(server.place(correlationId="abc-1"))
    assert row.keys() == payload("orders-list-portal")[0].keys()
    assert row["dhanClientId"] == CLIENT
    assert row["correlationId"] == "abc-1"
    assert (row["omsErrorCode"], row["omsErrorDescription"]) == ("0", "CONFIRMED")
    assert (row["legName"], row["drvOptionType"]) == ("NA", "NA")
    assert row["createTime"] == row["exchangeTime"][: len(row["createTime"])]


def test_option_row_carries_its_contract(server: Server) -> None:
    contract = {"exchangeSegment": "NSE_FNO", "securityId": "53103", "productType": "MARGIN"}
    row = server.settled(server.place(**contract, quantity=65, price=100))
    assert (row["drvExpiryDate"], row["drvOptionType"], row["drvStrikePrice"]) == (
        "2027-12-28",
        "CALL",
        24500.0,
    )


def test_a_rejection_appears_only_in_the_book(server: Server) -> None:
    order_id = server.place(quantity=300_000)
    row = server.settled(order_id)
    assert row["orderStatus"] == "REJECTED"
    assert row["omsErrorCode"] == "0"
    assert row["omsErrorDescription"].startswith(f"RMS:{order_id}:You have insufficient funds.")
    assert row["exchangeOrderId"] == "0"
    assert row["exchangeTime"] == "0001-01-01 00:00:00"


def test_the_same_correlation_id_twice_is_two_orders_and_finds_the_newer(server: Server) -> None:
    first, second = (server.place(correlationId="twice") for _ in range(2))
    assert first != second
    server.settled(second)
    found = server.call("GET", "/orders/external/twice")
    assert (found.status_code, found.json()["orderId"]) == (200, second)
    assert server.sim("report")["doubled"] == ["twice"]


def test_an_order_in_transit_cannot_be_found_by_correlation_id_nor_cancelled(
    server: Server,
) -> None:
    server.sim("clock", {"shift_seconds": 0})
    order_id = server.place(correlationId="soon")
    found = server.call("GET", "/orders/external/soon")
    cancelled = server.call("DELETE", f"/orders/{order_id}")
    if server.row(order_id)["orderStatus"] == "TRANSIT":
        assert error_of(found) == (404, "DH-906")
        assert cancelled.json()["errorMessage"] == "Order is in Transit state"


def test_an_unknown_correlation_id_is_404(server: Server) -> None:
    assert error_of(server.call("GET", "/orders/external/nope")) == (404, "DH-906")


def test_an_unknown_order_id_is_an_empty_list(server: Server) -> None:
    reply = server.call("GET", "/orders/00000000")
    assert (reply.status_code, reply.json()) == (200, [])


def test_one_order_is_still_an_array_and_the_book_holds_all(server: Server) -> None:
    ids = [server.place() for _ in range(3)]
    assert [row["orderId"] for row in server.call("GET", "/orders").json()] == ids
    assert len(server.call("GET", f"/orders/{ids[0]}").json()) == 1


def test_the_book_shows_only_the_own_account(server: Server) -> None:
    order_id = server.place(token=OTHER_TOKEN)
    assert server.call("GET", "/orders").json() == []
    assert server.call("GET", f"/orders/{order_id}").json() == []
    assert error_of(server.call("DELETE", f"/orders/{order_id}")) == (400, "DH-906")


def test_modify_and_cancel(server: Server) -> None:
    order_id = server.place()
    server.settled(order_id)
    change = {"orderType": "LIMIT", "validity": "DAY", "quantity": "40", "price": "1310.5"}
    reply = server.call("PUT", f"/orders/{order_id}", change)
    assert reply.json() == {"orderId": order_id, "orderStatus": "TRANSIT"}
    row = server.row(order_id)
    assert (row["quantity"], row["price"], row["orderStatus"]) == (40, 1310.5, "PENDING")
    reply = server.call("DELETE", f"/orders/{order_id}")
    assert (reply.status_code, reply.json()) == (
        200,
        {"orderId": order_id, "orderStatus": "CANCELLED"},
    )
    assert error_of(server.call("DELETE", f"/orders/{order_id}")) == (400, "DH-906")
    assert error_of(server.call("PUT", f"/orders/{order_id}", change)) == (400, "DH-906")


@pytest.mark.parametrize(
    "changes",
    [
        {"securityId": "999999"},
        {"exchangeSegment": "NSE"},
        {"exchangeSegment": "IDX_I", "securityId": "13"},
        {"transactionType": "buy"},
        {"productType": "CO"},
        {"productType": "BO"},
        {"orderType": "ICEBERG"},
        {"validity": "GTC"},
        {"quantity": 0},
        {"quantity": -5},
        {"quantity": 1.5},
        {"quantity": True},
        {"quantity": "ten"},
        {"price": ""},
        {"price": "NaN"},
        {"price": -1},
        {"disclosedQuantity": 3},
        {"disclosedQuantity": 11},
        {"correlationId": "x" * 26},
        {"correlationId": "a#b"},
        {"correlationId": ""},
        {"afterMarketOrder": True, "amoTime": "NOON"},
    ],
)
def test_bad_values_are_refused_without_naming_the_field(server: Server, changes: dict) -> None:
    reply = server.call("POST", "/orders", limit_order(**changes))
    assert (reply.status_code, reply.json()) == (400, BAD_INPUT)
    assert server.call("GET", "/orders").json() == []


def test_the_documented_sample_body_with_empty_texts_is_refused(server: Server) -> None:
    body = payload("constructed-orders-place-empty-strings-refused.request")
    body["dhanClientId"] = CLIENT
    assert server.call("POST", "/orders", body).json() == BAD_INPUT


def test_a_missing_quantity_is_named(server: Server) -> None:
    body = limit_order()
    del body["quantity"]
    reply = server.call("POST", "/orders", body)
    assert (reply.status_code, reply.json()) == (
        400,
        payload("observed-error-quantity-required"),
    )


def test_numbers_may_come_as_text(server: Server) -> None:
    row = server.settled(server.place(quantity="5", price="1300.00", securityId=2885))
    assert (row["quantity"], row["price"], row["securityId"]) == (5, 1300.0, "2885")


def test_a_correlation_id_of_25_characters_passes(server: Server) -> None:
    server.settled(server.place(correlationId="x" * 25))
    assert server.call("GET", f"/orders/external/{'x' * 25}").status_code == 200


def test_without_a_correlation_id_the_broker_makes_one_up(server: Server) -> None:
    row = server.settled(server.place())
    assert row["correlationId"].startswith(f"{CLIENT}-1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"orderType": "STOP_LOSS_MARKET", "triggerPrice": 1410},
            "Trigger Price should be greater than Price",
        ),
        (
            {"orderType": "STOP_LOSS", "triggerPrice": 1410, "price": 1405},
            "Trigger Price should be less than Price",
        ),
        (
            {
                "orderType": "STOP_LOSS",
                "transactionType": "SELL",
                "triggerPrice": 1380,
                "price": 1390,
            },
            "Trigger Price should be greater than Price",
        ),
    ],
)
def test_bad_stops_are_refused_as_order_errors(server: Server, changes: dict, message: str) -> None:
    reply = server.call("POST", "/orders", limit_order(**changes))
    assert error_of(reply) == (400, "DH-906")
    assert reply.json()["errorMessage"] == message


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_a_bad_token_is_401(server: Server, token: str) -> None:
    reply = server.call("GET", "/orders", token=token)
    assert error_of(reply) == (401, "DH-901")
    assert reply.json()["errorType"] == "Invalid_Authentication"


def test_a_client_id_of_another_account_is_401(server: Server) -> None:
    reply = server.call("POST", "/orders", limit_order(dhanClientId=OTHER))
    assert error_of(reply) == (401, "DH-901")


def test_a_body_that_is_not_json_is_refused(server: Server) -> None:
    reply = server.call("POST", "/orders", json=None, data=b"{nonsense")
    assert error_of(reply) == (400, "DH-905")


def test_an_unknown_path_is_404_in_the_web_servers_own_words(server: Server) -> None:
    reply = server.call("GET", "/forever/all")
    recorded = payload("observed-live-forever-all-404.response")
    assert reply.status_code == 404
    assert reply.json() | {"timestamp": 0} == recorded | {"timestamp": 0}


def test_slicing_answers_an_array_whose_orders_share_the_correlation_id(server: Server) -> None:
    contract = {"exchangeSegment": "NSE_FNO", "securityId": "53106", "productType": "MARGIN"}
    body = limit_order(**contract, quantity=65 * 40, price=1, correlationId="cut")
    reply = server.call("POST", "/orders/slicing", body)
    assert [row["orderStatus"] for row in reply.json()] == ["TRANSIT", "TRANSIT"]
    rows = [server.settled(row["orderId"]) for row in reply.json()]
    assert [row["quantity"] for row in rows] == [1755, 845]
    assert {row["correlationId"] for row in rows} == {"cut"}
    assert server.sim("report")["doubled"] == []


def test_trades_have_the_names_of_the_wire_and_are_arrays(server: Server) -> None:
    order_id = server.place(price=1410)
    eventually(lambda: server.row(order_id)["orderStatus"] == "TRADED")
    rows = server.call("GET", "/trades").json()
    assert rows == server.call("GET", "/trades/").json()
    assert rows == server.call("GET", f"/trades/{order_id}").json()
    assert rows[0].keys() == payload("trades-list-portal")[0].keys()
    assert sum(row["tradedQuantity"] for row in rows) == 10
    assert server.call("GET", "/trades/1").json() == []


def test_positions_have_the_names_of_the_wire_and_closed_ones_stay(server: Server) -> None:
    for side, price in (("BUY", 1410), ("SELL", 1390)):
        order_id = server.place(transactionType=side, price=price)
        eventually(lambda: server.row(order_id)["orderStatus"] == "TRADED")  # noqa: B023
        (row,) = server.call("GET", "/positions").json()
        assert row.keys() == payload("positions.response")[0].keys()
        assert row["positionType"] == ("LONG" if side == "BUY" else "CLOSED")
    assert (row["buyQty"], row["sellQty"], row["netQty"]) == (10, 10, 0)
    assert row["realizedProfit"] == round(row["daySellValue"] - row["dayBuyValue"], 2)


def test_funds_profile_and_empty_holdings(server: Server) -> None:
    funds = server.call("GET", "/fundlimit").json()
    assert funds.keys() == payload("observed-live-fundlimit.response").keys()
    assert funds["availabelBalance"] == 1_000_000.0
    profile = server.call("GET", "/profile").json()
    recorded = payload("observed-live-profile.response")
    assert profile.keys() == recorded.keys()
    assert profile["activeSegment"] == recorded["activeSegment"]
    reply = server.call("GET", "/holdings")
    assert (reply.status_code, reply.json()) == (
        500,
        payload("observed-live-holdings-empty.response"),
    )


def test_exiting_all_cancels_orders_and_closes_positions(server: Server) -> None:
    for side, security in (("BUY", "2885"), ("SELL", "1660")):
        order_id = server.place(transactionType=side, securityId=security, **at_market())
        eventually(lambda: server.row(order_id)["orderStatus"] == "TRADED")  # noqa: B023
    resting = server.place()
    server.settled(resting)
    reply = server.call("DELETE", "/positions")
    assert (reply.status_code, reply.json()) == (200, payload("positions-exit-all.response"))
    assert server.row(resting)["orderStatus"] == "CANCELLED"
    eventually(lambda: all(not row["netQty"] for row in server.call("GET", "/positions").json()))
    rows = server.call("GET", "/positions").json()
    assert [row["positionType"] for row in rows] == ["CLOSED", "CLOSED"]


def test_the_margin_calculator_spells_the_balance_right(server: Server) -> None:
    asked = {
        "exchangeSegment": "NSE_EQ",
        "transactionType": "BUY",
        "quantity": 10_000,
        "productType": "INTRADAY",
        "securityId": "2885",
        "price": 1400,
        "triggerPrice": 0,
    }
    body = server.call("POST", "/margincalculator", asked).json()
    assert body.keys() == payload("margincalculator.response").keys()
    assert (body["totalMargin"], body["insufficientBalance"]) == (2_800_000.0, 1_800_000.0)
    assert (body["availableBalance"], body["leverage"]) == (1_000_000.0, "5.00")


def test_a_working_order_lowers_the_available_balance(server: Server) -> None:
    server.settled(server.place(quantity=100))
    funds = server.call("GET", "/fundlimit").json()
    assert (funds["availabelBalance"], funds["utilizedAmount"]) == (974_000.0, 26_000.0)


def test_one_connection_serves_many_requests(server: Server) -> None:
    replies = [server.call("GET", "/profile") for _ in range(3)]
    assert all(reply.headers.get("Connection") != "close" for reply in replies)


def test_the_request_log_holds_bodies_but_never_the_token(server: Server) -> None:
    server.place(correlationId="logged")
    log = server.sim("requests?since=0")
    assert log[0]["body"]["correlationId"] == "logged"
    assert (log[0]["endpoint"], log[0]["status"], log[0]["client_id"]) == ("place", 200, CLIENT)
    assert "token-1" not in json.dumps(log)


LEG = {
    "exchangeSegment": "NSE_EQ",
    "transactionType": "BUY",
    "quantity": 10,
    "productType": "INTRADAY",
    "securityId": "2885",
    "price": 1400,
}


def test_several_margins_in_the_form_of_the_portal(server: Server, sdk) -> None:
    option = LEG | {"exchangeSegment": "NSE_FNO", "securityId": "53104", "quantity": 65}
    body = sdk.margin_calculator_multi([LEG, option | {"price": 100}])["data"]
    assert body["totalMargin"] == 2800 + 6500
    assert (body["equityMargin"], body["foMargin"]) == (2800, 6500)
    server.settled(server.place(price=1400, quantity=10))
    held = sdk.margin_calculator_multi([LEG], include_position=True, include_order=True)["data"]
    assert held["totalMargin"] == 5600


def test_several_margins_in_the_form_of_the_classic_page(server: Server) -> None:
    asked = {"includePosition": False, "includeOrders": False, "scripts": [LEG, LEG]}
    body = server.call("POST", "/margincalculator/multi", asked).json()
    assert body.keys() == payload("margincalculator-multi.response").keys()
    assert body["total_margin"] == "5600.00"


@pytest.mark.parametrize("body", [{}, {"scripList": 1}, {"scripts": ["x"]}, {"scripts": [{}]}])
def test_several_margins_of_nothing_are_refused(server: Server, body: dict) -> None:
    assert server.call("POST", "/margincalculator/multi", body).status_code == 400
