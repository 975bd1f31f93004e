"""Every error that DhanHQ documents or was recorded with: its kind, and what it leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from apps.brokers.dhan.errors import After, complaint_in, is_listed, meaning_of, read_failed
from apps.brokers.dhan.trading import outcome_of
from apps.brokers.port import NotSent, Refused, Unknown
from apps.brokers.wire import Reply
from tests.brokers.payloads import payload

NOTHING, NO, DOUBT = After.NOTHING, After.NO, After.DOUBT


def dh(code: str, text: str = "why", kind: str = "X") -> dict[str, str]:
    return {"errorType": kind, "errorCode": code, "errorMessage": text}


def numbered(code: int, text: str = "why") -> dict[str, Any]:
    return {"data": {str(code): text}, "status": "failed"}


# (status, body, kind, transient, what it means for a request that would change something)
ROWS = [
    # Trading APIs
    (401, payload("alerts-error-901"), "token", False, NOTHING),
    (400, dh("DH-901"), "token", False, NOTHING),
    (400, dh("DH-902"), "access", False, NO),
    (400, dh("DH-903"), "access", False, NO),
    (429, payload("observed-error-429-rate-limit"), "rate", True, NOTHING),
    (400, dh("DH-904"), "rate", True, NOTHING),
    (400, payload("observed-error-quantity-required"), "refused", False, NO),
    (400, payload("observed-sandbox-error-bad-request"), "refused", False, NO),
    (400, dh("DH-905", "Invalid IP", "Input_Exception"), "address", False, NO),
    (400, dh("DH-911"), "address", False, NO),
    (400, dh("DH-911", "Invalid IP"), "address", False, NO),
    (400, dh("DH-906", "Order is in Transit state", "Order_Error"), "refused", False, NO),
    (400, dh("DH-906", "Trigger Price should be greater than Price"), "refused", False, NO),
    (400, payload("observed-error-renew-invalid-token"), "token", False, DOUBT),
    (400, dh("DH-907"), "refused", False, NO),
    (400, dh("DH-908"), "server", True, DOUBT),
    (500, dh("DH-908", "Internal Server Error"), "server", True, DOUBT),
    (400, dh("DH-909"), "server", True, DOUBT),
    (400, dh("DH-910"), "server", True, DOUBT),
    (500, payload("observed-live-holdings-empty.response"), "empty", False, DOUBT),
    # Data APIs
    (400, numbered(800), "server", True, DOUBT),
    (400, numbered(804), "refused", False, NO),
    (429, numbered(805, "Too many requests"), "rate", True, DOUBT),
    (400, numbered(806), "access", False, NO),
    (401, numbered(807, "Access token is expired"), "token", False, NOTHING),
    (400, numbered(807), "token", False, DOUBT),
    (200, numbered(807), "token", False, DOUBT),
    (400, numbered(808), "token", False, DOUBT),
    (400, numbered(809), "token", False, DOUBT),
    (400, numbered(810), "token", False, DOUBT),
    (400, numbered(811), "refused", False, NO),
    (400, numbered(812), "refused", False, NO),
    (400, payload("observed-live-optionchain-expirylist-error"), "refused", False, NO),
    (400, numbered(814), "refused", False, NO),
    # The portal's family
    (400, payload("portal-error-validation"), "refused", False, NO),
    (401, payload("portal-error-auth"), "token", False, NOTHING),
    (429, payload("portal-error-rate-limit"), "rate", True, DOUBT),
    # An auth failure and a wrong address, whatever code they come under
    (500, dh("DH-901"), "token", False, DOUBT),
    (200, dh("DH-901"), "token", False, DOUBT),
    (400, dh("DH-999", "Invalid IP"), "address", False, NO),
    # A code that nobody has seen says nothing of what became of an order
    (400, dh("DH-777"), "refused", False, DOUBT),
    (404, dh("DH-777"), "refused", False, DOUBT),
    (400, numbered(899), "refused", False, DOUBT),
    (429, dh("DH-777"), "rate", True, NOTHING),
    # By the status alone
    (401, None, "token", False, DOUBT),
    (403, None, "access", False, NO),
    (404, None, "refused", False, DOUBT),
    (429, None, "rate", True, NOTHING),
    (500, None, "server", True, DOUBT),
    (502, None, "server", True, DOUBT),
    (503, dh("DH-904"), "server", True, DOUBT),
    (401, {"status": "failure", "remarks": "no"}, "token", False, DOUBT),
]


@pytest.mark.parametrize(("status", "body", "kind", "transient", "after"), ROWS)
def test_the_table(status: int, body: Any, kind: str, transient: bool, after: After) -> None:
    meaning = meaning_of(status, complaint_in(body))
    assert (meaning.kind, meaning.transient, meaning.after) == (kind, transient, after)


@pytest.mark.parametrize(("status", "body", "kind", "transient", "after"), ROWS)
def test_a_read_and_a_send_follow_the_table(
    status: int, body: Any, kind: str, transient: bool, after: After
) -> None:
    complaint = complaint_in(body)
    if complaint is not None:
        failed = read_failed(status, complaint)
        assert (failed.kind, failed.transient) == (kind, transient)
    if status in {200, 429} or complaint is None:
        return  # a 2xx and a 429 are judged before their body
    outcome = outcome_of(Reply(status, body))
    expected = {NOTHING: NotSent, NO: Refused, DOUBT: Unknown}[after]
    assert isinstance(outcome, expected)
    if isinstance(outcome, NotSent):
        assert outcome.about_session is (kind == "token")


def test_every_code_of_the_documents_is_listed() -> None:
    codes = [f"DH-{number}" for number in (*range(901, 912), 1111)]
    codes += ["E001", "AUTH001", "RL001", "800", *map(str, range(804, 815))]
    for code in codes:
        complaint = complaint_in(dh(code))
        assert complaint is not None
        assert is_listed(complaint)


def test_a_code_that_nobody_has_seen_is_not_listed_and_cannot_pass_by_itself() -> None:
    complaint = complaint_in(dh("DH-777"))
    assert complaint is not None
    assert not is_listed(complaint)
    assert read_failed(400, complaint).transient is False
