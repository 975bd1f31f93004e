"""A test can never reach a live account: not by its source, its body, its order, or a late edit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.brokers import trading as sending_door
from apps.brokers.models import AccessToken, BrokerAccount, FundsReport
from apps.orders import services
from apps.orders.dispatch import dispatch
from apps.orders.models import Order, Source
from apps.signals.acting import act
from apps.signals.models import Signal, SignalSource
from apps.signals.sources import open_source

pytestmark = pytest.mark.django_db(transaction=True)
LIVE = {"rest_url": "https://api.broker.invalid/v2", "feed_url": "wss://feed.broker.invalid"}


@pytest.fixture(autouse=True)
def armed(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Live trading is on, and whatever would be sent is caught here."""
    settings.LIVE_TRADING = True
    sent: list[Any] = []

    def catch(call: Any, request: Any) -> Any:
        sent.append(request)
        raise AssertionError("something was sent")

    monkeypatch.setattr(sending_door, "place", catch)
    return sent


@pytest.fixture
def ready_live(live_account: Any) -> Any:
    """A live account that lacks nothing: armed, with a token and fresh funds."""
    BrokerAccount.objects.filter(pk=live_account.pk).update(
        armed_until=timezone.now() + timedelta(hours=1)
    )
    AccessToken.put_in_force(live_account, "token-7")
    live_account.refresh_from_db()
    FundsReport.objects.create(
        account=live_account,
        as_of=timezone.now(),
        available=10**7,
        utilised=0,
        opening=10**7,
        collateral=0,
    )
    return live_account


def make_live(account: BrokerAccount) -> None:
    BrokerAccount.objects.filter(pk=account.pk).update(
        **LIVE, armed_until=timezone.now() + timedelta(hours=1), calendar="exchange"
    )


def test_without_test_mode_the_live_account_would_have_got_it(
    ready_live, reliance, source_of, no_bells, armed, open_market
):
    """What the other tests prove is the test mode's doing and nothing else's."""
    sender = source_of(ready_live)
    with pytest.raises(AssertionError, match="was sent"):
        act(sender.heard().pk)
    assert len(armed) == 1


def test_the_intake_turns_a_test_for_a_live_account_away(ready_live, source_of, no_bells):
    sender = source_of(ready_live)
    for answer in (sender.send(test_mode=True), sender.send(test_mode="TRUE")):
        assert answer.status_code == 400
        assert "test mode" in answer.json()["fields"]["account"]
    SignalSource.objects.update(test_mode=True)
    assert sender.send().status_code == 400
    assert sender.send(test_mode=False).status_code == 400
    assert not Signal.objects.exists()


def test_a_source_in_test_mode_cannot_be_opened_on_a_live_account(live_account):
    with pytest.raises(ValidationError, match="test mode"):
        open_source(SignalSource(name="x", account=live_account, test_mode=True))


@pytest.mark.parametrize("where", ["signal", "source"])
def test_the_gate_refuses_when_the_account_became_live_after_the_signal_was_heard(
    where, quiet_account, reliance, source_of, no_bells, armed
):
    sender = source_of(quiet_account, test_mode=where == "source")
    signal = sender.heard(test_mode=where == "signal")
    assert signal.test
    SignalSource.objects.update(test_mode=False)
    make_live(quiet_account)
    act(signal.pk)
    signal.refresh_from_db()
    assert signal.fate == "REFUSED"
    assert "test mode" in signal.reason
    assert (signal.order.test, signal.order.status, armed) == (True, "DENIED", [])


def test_a_source_put_into_test_mode_stops_what_was_already_heard(
    ready_live, reliance, source_of, no_bells, armed
):
    signal = source_of(ready_live).heard()
    SignalSource.objects.update(test_mode=True)
    act(signal.pk)
    signal.refresh_from_db()
    assert (signal.fate, armed) == ("REFUSED", [])


def test_the_gate_looks_again_at_the_last_moment(account, intent, trader, no_bells, armed):
    """Approved on paper, then the address of the account, which has not spoken, is changed."""
    FundsReport.objects.create(
        account=account, as_of=timezone.now(), available=1, utilised=0, opening=1, collateral=0
    )
    order = services.place(intent(test=True), trader, Source.ADMIN)
    assert order.status == "APPROVED"
    make_live(account)
    dispatch(order.pk)
    order.refresh_from_db()
    assert order.status == "DENIED"
    assert "test order" in order.reason
    assert armed == []


def test_an_approval_without_the_mark_does_not_fit_an_order_with_it(
    account, intent, trader, no_bells, armed
):
    order = services.place(intent(), trader, Source.ADMIN)
    Order.objects.filter(pk=order.pk).update(test=True)
    dispatch(order.pk)
    order.refresh_from_db()
    assert (order.status, armed) == ("DENIED", [])


def test_the_mark_is_part_of_what_the_gate_reviews(account, intent, trader, no_bells):
    order = services.place(intent(test=True), trader, Source.ADMIN)
    assert order.request().as_json()["test"] is True
    assert replace(order.request(), test=False) != order.request()
