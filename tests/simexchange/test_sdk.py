"""The broker's own Python SDK, unmodified but for its base URL."""

from dhanhq import DhanContext, dhanhq

from tests.simexchange.harness import CLIENT, Server, eventually


def place(sdk: dhanhq, **changes) -> dict:
    asked = {
        "security_id": "2885",
        "exchange_segment": "NSE_EQ",
        "transaction_type": "BUY",
        "quantity": 10,
        "order_type": "LIMIT",
        "product_type": "INTRADAY",
        "price": 1300,
    }
    return sdk.place_order(**{**asked, **changes})


def test_the_whole_life_of_an_order(server: Server, sdk: dhanhq) -> None:
    placed = place(sdk, tag="sdk-1")
    assert placed["status"] == "success"
    order_id = placed["data"]["orderId"]
    server.settled(order_id)
    assert sdk.get_order_by_correlationID("sdk-1")["data"]["orderId"] == order_id
    changed = sdk.modify_order(order_id, "LIMIT", None, 20, 1301, 0, 0, "DAY")
    assert changed["status"] == "success"
    assert sdk.get_order_by_id(order_id)["data"][0]["quantity"] == 20
    assert sdk.cancel_order(order_id)["data"]["orderStatus"] == "CANCELLED"
    assert [row["orderStatus"] for row in sdk.get_order_list()["data"]] == ["CANCELLED"]


def test_a_market_order_of_the_sdk_trades(server: Server, sdk: dhanhq) -> None:
    order_id = place(sdk, order_type="MARKET", price=0)["data"]["orderId"]
    eventually(lambda: server.row(order_id)["orderStatus"] == "TRADED")
    assert server.row(order_id)["orderType"] == "LIMIT"
    assert len(sdk.get_trade_book()["data"]) >= 1
    assert len(sdk.get_trade_book(order_id)["data"]) >= 1
    assert sdk.get_positions()["data"][0]["netQty"] == 10


def test_a_stop_of_the_sdk_waits(server: Server, sdk: dhanhq) -> None:
    placed = place(sdk, order_type="STOP_LOSS", price=1425, trigger_price=1420)
    row = server.settled(placed["data"]["orderId"])
    assert (row["orderType"], row["triggerPrice"], row["orderStatus"]) == (
        "STOP_LOSS",
        1420.0,
        "PENDING",
    )


def test_slicing_through_the_sdk(sdk: dhanhq) -> None:
    sliced = sdk.place_slice_order(
        "53106", "NSE_FNO", "BUY", 65 * 40, "LIMIT", "MARGIN", 1, tag="sdk-cut"
    )
    assert len(sliced["data"]) == 2


def test_funds_and_quotes_through_the_sdk(sdk: dhanhq) -> None:
    assert sdk.get_fund_limits()["data"]["availabelBalance"] == 1_000_000.0
    quoted = sdk.ticker_data({"NSE_EQ": [2885, 1]})
    assert quoted["data"]["data"] == {"NSE_EQ": {"2885": {"last_price": 1402.0}}}


def test_a_refusal_reaches_the_caller_with_code_and_text(sdk: dhanhq) -> None:
    refused = place(sdk, tag="x" * 26)
    assert refused["status"] == "failure"
    assert refused["remarks"]["error_code"] == "DH-905"


def test_a_wrong_token_is_an_authentication_failure(server: Server) -> None:
    context = DhanContext(CLIENT, "wrong")
    context.dhan_http.base_url = f"{server.url}/v2"
    assert dhanhq(context).get_fund_limits()["remarks"]["error_code"] == "DH-901"
