"""Every page, on a desk, a tablet and a phone, light and dark: it fits and reads, and runs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from apps.alerts.models import Alert, Severity
from apps.alerts.raising import raise_alert, sign_of_life
from apps.brokers.journal import close_call, open_call
from apps.brokers.models import CallOutcome, Verb, WireCall
from apps.desk import navigation
from apps.orders.states import Event
from apps.risk import resuming, switch
from apps.risk.models import Decision
from apps.signals.models import Signal, SignalSource
from apps.signals.sources import open_source
from tests.desk.conftest import happens, unknown, working
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)
SCREENS = [(1440, "dark"), (820, "light"), (390, "dark"), (390, "light")]
LONG = "A long reason that somebody wrote in a hurry, with_one_very_long_word_" + "x" * 40

FAINT = (Path(__file__).parent / "faint.js").read_text()


@pytest.fixture
def pages(new_order, account, sliced, bracket):
    """One of everything, and where it is seen."""
    owner = member("otto", superuser=True)
    filled = happens(working(new_order(strategy="momentum"), "1"), Event.FILL, filled_quantity=10)
    order = working(new_order(cause=LONG), "2")
    happens(new_order(), Event.WITHDRAW, text=LONG)
    with time_machine.travel(timezone.now() - timedelta(hours=1)):
        lost = unknown(new_order(after_market=True))
    for severity in Severity:
        raise_alert(severity.value, LONG, severity)
    for name in ("worker:worker", "beat"):
        sign_of_life(name)
    switch.halt("paper-one", LONG, "rita")
    resuming.ask("paper-one", member("rita", "risk officer"), LONG)
    call = open_call(account, Verb.READ, "order book", budget="READ", request={})
    close_call(call, outcome=CallOutcome.FAILED, http_status=500, response={"errorCode": "DH-908"})
    Decision.objects.create(
        correlation_id=order.correlation_id,
        account=account,
        action="PLACE",
        allowed=False,
        request={"quantity": 10},
        inputs={"limits": {"max_open_orders": 5}},
        refusals=[{"rule": "open orders", "reason": LONG}],
        expires_at=timezone.now(),
    )
    source = SignalSource(name="momentum", account=account)
    open_source(source)
    signal = Signal.objects.create(
        source=source,
        dedupe_key="1",
        sent_at=timezone.now(),
        body='{"instrument": "RELIANCE"}',
        body_hash="",
        account=account,
        intent="ENTRY",
        test=True,
        wish={"side": "BUY", "quantity": "1", "instrument": "RELIANCE", "type": "MARKET"},
        fate="REFUSED",
        reason=LONG,
        acted_at=timezone.now(),
        next_try_at=timezone.now(),
    )
    listed = [reverse(entry[2]) for _, entries in navigation._SECTIONS for entry in entries]
    return [
        *listed,
        f"/admin/live/order/{order.pk}/",
        f"/admin/live/order/{order.pk}/cancel/",
        f"/admin/live/order/{order.pk}/modify/",
        f"/admin/live/order/{filled.pk}/exit/",
        f"/admin/live/order/{lost.pk}/",
        f"/admin/live/order/{lost.pk}/release/",
        f"/admin/live/slices/{sliced.pk}/",
        f"/admin/live/slices/{sliced.pk}/resume/1/",
        f"/admin/live/slices/{sliced.pk}/cancel/",
        f"/admin/live/order/{sliced.slices.first().pk}/",
        f"/admin/live/bracket/{bracket.pk}/",
        f"/admin/live/bracket/{bracket.pk}/leave/",
        f"/admin/live/bracket/{bracket.pk}/change/",
        f"/admin/live/signal/{signal.pk}/",
        f"/admin/signals/signalsource/{source.pk}/change/",
        f"/admin/signals/signalsource/{source.pk}/rotate/",
        f"/admin/alerts/alert/{Alert.objects.first().pk}/change/",
        f"/admin/brokers/brokeraccount/{account.pk}/change/",
        "/admin/brokers/brokeraccount/add/",
        f"/admin/brokers/wirecall/{WireCall.objects.first().pk}/change/",
        f"/admin/risk/decision/{Decision.objects.first().pk}/change/",
        "/admin/risk/riskpolicy/add/",
        f"/admin/auth/user/{owner.pk}/change/",
        "/admin/auth/user/add/",
        "/admin/second-factor/",
        "/nothing/here/",
    ]


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_it_fits_reads_and_runs(sign_in, pages, width, scheme):
    page = sign_in("otto", width=width, scheme=scheme)
    wrong = []
    page.on("pageerror", lambda error: wrong.append((page.url, "script", str(error))))
    for address in pages:
        answer = page.goto(address, wait_until="load")
        page.wait_for_timeout(150)  # the admin's frame draws itself
        expected = 404 if "nothing" in address else 200
        if answer.status != expected:
            wrong.append((address, "status", answer.status))
        beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        if (too_wide := page.evaluate(beyond)) > 0:
            wrong.append((address, "too wide by", too_wide))
        if faint := page.evaluate(FAINT):
            wrong.append((address, "faint", faint))
    assert not wrong, "\n".join(map(str, wrong))
