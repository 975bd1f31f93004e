"""Market quotes over REST."""

import pytest

from tests.simexchange.harness import OTHER, TOKEN, Server, payload


def test_last_prices_by_segment_and_id(server: Server) -> None:
    reply = server.call("POST", "/marketfeed/ltp", {"NSE_EQ": [11536], "NSE_FNO": [53001]})
    assert reply.json() == {
        "data": {
            "NSE_EQ": {"11536": {"last_price": 3345.8}},
            "NSE_FNO": {"53001": {"last_price": 24560.0}},
        },
        "status": "success",
    }


def test_unknown_ids_are_just_missing(server: Server) -> None:
    reply = server.call("POST", "/marketfeed/ltp", {"IDX_I": [9999]})
    recorded = payload("observed-live-marketfeed-ltp-unknown-id.response")
    assert (reply.status_code, reply.json()) == (200, recorded)


def test_an_index_has_a_price_too(server: Server) -> None:
    reply = server.call("POST", "/marketfeed/ltp", {"IDX_I": [13]})
    assert reply.json()["data"]["IDX_I"]["13"]["last_price"] == 24500.0


def test_the_day_range_follows_the_price(server: Server) -> None:
    for price in (1390, 1410):
        server.sim("price", {"segment": "NSE_EQ", "securityId": "2885", "price": price})
    reply = server.call("POST", "/marketfeed/ohlc", {"NSE_EQ": [2885]})
    assert reply.json()["data"]["NSE_EQ"]["2885"] == {
        "last_price": 1410.0,
        "ohlc": {"open": 1402.0, "close": 1402.0, "high": 1410.0, "low": 1390.0},
    }


def test_a_full_quote_has_the_names_of_the_wire_and_an_uncrossed_depth(server: Server) -> None:
    reply = server.call("POST", "/marketfeed/quote", {"NSE_FNO": [53103]})
    quote = reply.json()["data"]["NSE_FNO"]["53103"]
    recorded = payload("marketfeed-quote.response")["data"]["NSE_FNO"]["49081"]
    assert quote.keys() == recorded.keys()
    depth = quote["depth"]
    assert len(depth["buy"]) == len(depth["sell"]) == 5
    assert depth["buy"][0].keys() == recorded["depth"]["buy"][0].keys()
    assert depth["buy"][0]["price"] < depth["sell"][0]["price"]


@pytest.mark.parametrize("headers", [{}, {"client-id": OTHER}])
def test_the_client_id_header_is_needed(server: Server, headers: dict) -> None:
    headers = {"access-token": TOKEN, **headers}
    reply = server.call("POST", "/marketfeed/ltp", {"NSE_EQ": [2885]}, headers=headers)
    assert (reply.status_code, list(reply.json()["data"])) == (400, ["810"])


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "814"), ({"NSE_EQ": 2885}, "814"), ({"NSE_EQ": list(range(1001))}, "804")],
)
def test_bad_requests_have_data_codes(server: Server, body: dict, code: str) -> None:
    reply = server.call("POST", "/marketfeed/ltp", body)
    assert (reply.status_code, list(reply.json()["data"])) == (400, [code])
