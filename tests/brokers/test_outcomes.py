"""What a reply means for an order: yes, no, never left, or (the only default) nobody knows."""

from __future__ import annotations

from typing import Any

import pytest

from apps.brokers.dhan.trading import outcome_of
from apps.brokers.port import Accepted, BrokerState, NotSent, Refused, Unknown
from apps.brokers.wire import Reply
from tests.brokers.payloads import payload

TAKEN = {"orderId": "112111182198", "orderStatus": "TRANSIT"}
DH_906 = {"errorType": "Order_Error", "errorCode": "DH-906", "errorMessage": "no"}


def dh(code: str, text: str = "why") -> dict[str, str]:
    return {"errorType": "X", "errorCode": code, "errorMessage": text}


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (TAKEN, BrokerState.IN_TRANSIT),
        (payload("orders-place.response"), BrokerState.WORKING),
        (payload("orders-modify.response"), BrokerState.IN_TRANSIT),
        (payload("orders-cancel.response"), BrokerState.CANCELLED),
        (TAKEN | {"orderStatus": "REJECTED"}, BrokerState.REJECTED),
        (TAKEN | {"orderStatus": "Levitating"}, BrokerState.UNRECOGNISED),
        (TAKEN | {"extra": [1, {"a": None}]}, BrokerState.IN_TRANSIT),
    ],
)
def test_an_id_in_a_2xx_is_a_yes_whatever_its_status(body: Any, state: BrokerState) -> None:
    assert outcome_of(Reply(200, body)) == Accepted(body["orderId"], state)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"orderStatus": "TRANSIT"}, "orderId"),
        (TAKEN | {"orderId": ""}, "orderId"),
        (TAKEN | {"orderId": None}, "orderId"),
        (TAKEN | {"orderId": 112111182198}, "orderId"),
        (TAKEN | {"orderId": "../1"}, "orderId"),
        (TAKEN | {"orderId": "1\n"}, "orderId"),
        ({"orderId": "1"}, "orderStatus"),
        (TAKEN | {"orderStatus": None}, "orderStatus"),
        ([TAKEN], "object"),
        ("ok", "object"),
        ({}, "orderId"),
        (7, "object"),
    ],
)
def test_a_2xx_that_does_not_fit_is_unknown_and_names_the_field(body: Any, names: str) -> None:
    outcome = outcome_of(Reply(200, body))
    assert isinstance(outcome, Unknown)
    assert names in outcome.why
    assert "112111182198" not in outcome.why


@pytest.mark.parametrize(
    ("status", "body", "code", "text"),
    [
        (400, payload("observed-error-quantity-required"), "DH-905", "quantity is required"),
        (400, dh("DH-905", "Invalid IP"), "DH-905", "Invalid IP"),
        (400, payload("portal-error-validation"), "E001", "Invalid security ID"),
        (403, {}, "HTTP 403", "the broker does not let us in"),
        (
            400,
            payload("observed-live-optionchain-expirylist-error"),
            "813",
            "Invalid SecurityId",
        ),
        (400, {"status": "failure", "remarks": "no"}, "HTTP 400", "no"),
        (200, dh("DH-906"), "DH-906", "why"),
        (404, DH_906, "DH-906", "no"),
    ],
)
def test_a_documented_error_is_a_no(status: int, body: Any, code: str, text: str) -> None:
    assert outcome_of(Reply(status, body)) == Refused(code, text)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, payload("portal-error-auth")),
        (401, dh("DH-901")),
        (400, dh("DH-901")),
        (403, dh("DH-901")),
        (401, payload("observed-error-renew-invalid-token")),
        (401, {"status": "failed", "data": {"807": "Access token is expired"}}),
    ],
)
def test_a_token_turned_away_at_the_door_placed_nothing(status: int, body: Any) -> None:
    outcome = outcome_of(Reply(status, body))
    assert isinstance(outcome, NotSent)
    assert outcome.about_session


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, payload("observed-error-renew-invalid-token")),
        (400, {"status": "failed", "data": {"807": "Access token is expired"}}),
        (200, dh("DH-901")),
        (401, {"what": "ever"}),
        (401, {"status": "failure"}),
        (500, dh("DH-901")),
        (400, payload("error")),
        (400, {"message": "Bad Request"}),
        (400, []),
        (400, "no"),
        (404, payload("observed-live-forever-all-404.response")),
        (404, {}),
        (400, dh("DH-908")),
        (400, dh("DH-909")),
        (200, dh("DH-908")),
        (200, {"status": "failure"}),
        (200, {"status": "failed", "data": {"813": "Invalid SecurityId"}}),
        (200, payload("portal-error-auth")),
        (200, TAKEN | DH_906),
        (200, TAKEN | {"status": "failure"}),
        (200, [{"status": "ERROR", "message": "no"}]),
        (500, TAKEN),
        (500, DH_906),
        (500, payload("observed-live-holdings-empty.response")),
        (502, {}),
        (503, dh("DH-904")),
        (100, TAKEN),
        (600, TAKEN),
    ],
)
def test_everything_else_is_unknown(status: int, body: Any) -> None:
    assert isinstance(outcome_of(Reply(status, body)), Unknown)


@pytest.mark.parametrize("status", [200, 400, 403])
def test_the_rate_code_placed_nothing(status: int) -> None:
    reply = Reply(status, payload("observed-error-429-rate-limit"))
    assert isinstance(outcome_of(reply), NotSent)


@pytest.mark.parametrize("status", [200, 202])
def test_an_empty_answer_is_a_yes_to_a_cancel_only(status: int) -> None:
    reply = Reply(status, None, Unknown("empty"), empty=True)
    assert outcome_of(reply, "42", empty_is_yes=True) == Accepted("42")
    assert outcome_of(reply, "42") == Unknown("empty")


@pytest.mark.parametrize("status", [400, 404, 500, 201])
def test_an_empty_refusal_is_unknown_even_to_a_cancel(status: int) -> None:
    reply = Reply(status, None, Unknown("empty"), empty=True)
    assert isinstance(outcome_of(reply, "42", empty_is_yes=True), Unknown)


def test_a_reply_about_another_order_is_unknown() -> None:
    assert isinstance(outcome_of(Reply(200, TAKEN), "112111182045"), Unknown)
    assert isinstance(outcome_of(Reply(200, TAKEN), "112111182198"), Accepted)
