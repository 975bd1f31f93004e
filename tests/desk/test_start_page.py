"""The start page: what matters now, by role, in a fixed number of queries."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.alerts.models import Alert, Severity
from apps.alerts.raising import raise_alert, sign_of_life
from apps.brokers.models import BrokerAccount
from apps.desk import doubts, start
from apps.orders.models import Fill, Modification, Order, Unattributed
from apps.orders.states import Event
from apps.people import roles
from apps.risk import resuming, switch
from apps.risk.models import Decision
from apps.signals.models import Signal, SignalSource
from apps.signals.sources import open_source
from tests.desk.conftest import happens, unknown, working
from tests.desk.sockets import signed_in
from tests.people.conftest import member

pytestmark = pytest.mark.django_db(transaction=True)
V, T, R, A = roles.ROLES
SLOW = doubts.SLOW + dt.timedelta(seconds=1)


@pytest.fixture
def victor():
    return member("victor", V)


@pytest.fixture
def rita():
    return member("rita", R)


def page_of(user):
    return signed_in(user).get("/admin/").content.decode()


def part(page, name):
    found = re.search(rf'<section id="start-{name}".*?</section>', page, re.DOTALL)
    return found[0] if found else ""


def long_ago(order, **columns):
    """Write a time that has long passed; what happened stays as it was."""
    Order.objects.filter(pk=order.pk).update(**columns)
    order.refresh_from_db()
    return order


def heard_signal(source, account, number):
    return Signal.objects.create(
        source=source,
        dedupe_key=str(number),
        sent_at=timezone.now(),
        body="{}",
        body_hash="",
        account=account,
        intent="ENTRY",
        test=False,
        wish={"side": "BUY", "quantity": "1", "instrument": "<i>X</i>", "type": "MARKET"},
        next_try_at=timezone.now(),
    )


def test_who_has_no_role_is_told_so(stranger, new_order):
    new_order()
    page = page_of(stranger)
    assert "no role yet" in page
    assert "RELIANCE" not in page
    assert "start-accounts" not in page


def test_a_quiet_desk_says_so(victor, account):
    for name in (
        "worker:worker",
        "worker:exits",
        "worker:house",
        "beat",
        "sweep",
        "signals",
        "alerts",
        "feed:paper-one",
    ):
        sign_of_life(name)
    page = page_of(victor)
    for text in (
        "Nothing needs you now",
        "The desk knows the state of every order",
        "Nothing waits for a second person",
        "Every alert is acknowledged",
        "No strategy has sent anything yet",
    ):
        assert text in page


def test_without_accounts_it_says_what_to_do(victor):
    assert "An administrator adds one" in page_of(victor)


def test_every_doubt_is_named_with_its_reason(victor, new_order):
    now = timezone.now()
    lost = unknown(new_order())
    stuck = new_order()
    happens(stuck, Event.CLAIM)
    long_ago(stuck, claimed_at=now - dt.timedelta(minutes=1))
    unsent = long_ago(new_order(), approved_at=now - SLOW)
    unheard = happens(working(new_order(), "1"), Event.WANT_CANCEL, text="x")
    long_ago(unheard, cancel_wanted_at=now - SLOW)
    blurred = working(new_order(), "2")
    change(blurred, "UNKNOWN")
    fine = [working(new_order(), "3"), happens(new_order(), Event.WITHDRAW), new_order()]
    over = long_ago(happens(new_order(), Event.WITHDRAW), approved_at=now - SLOW)
    found = {order.pk: order.why for order in doubts.doubtful()}
    assert list(found) == [blurred.pk, unheard.pk, unsent.pk, stuck.pk, lost.pk]
    assert not {order.pk for order in [*fine, over]} & set(found)
    assert len(set(found.values())) == 5
    page = part(page_of(victor), "doubts")
    for pk, why in found.items():
        assert f"/admin/live/order/{pk}/" in page
        assert why in page
    assert "5 in doubt" in part(page_of(victor), "needs")


def change(order, status):
    decision = Decision.objects.create(
        correlation_id=order.correlation_id,
        account=order.account,
        action="MODIFY",
        allowed=True,
        request={},
        inputs={},
        expires_at=timezone.now(),
    )
    return Modification.objects.create(
        order=order, quantity=12, status=status, decision=decision, actor="olivia"
    )


def test_strangers_at_the_broker_are_counted(victor, account):
    Unattributed.objects.create(account=account, broker_order_id="9", state_word="OPEN", origin="x")
    assert "1 order at the broker today did not come from this desk" in page_of(victor)


def test_counts_are_of_today_but_work_is_of_now(victor, new_order, account):
    yesterday = timezone.localdate() - dt.timedelta(days=1)
    filled = happens(working(new_order(), "1"), Event.FILL, filled_quantity=10)
    working(new_order(), "2")
    happens(new_order(), Event.WITHDRAW)
    denied = Order.objects.get(pk=new_order().pk)
    Order.objects.filter(pk=denied.pk).update(status="DENIED")
    rejected = happens(working(new_order(), "3"), Event.REJECT)
    assert rejected.status == "REJECTED"
    long_ago(working(new_order(), "4"), trading_day=yesterday)
    long_ago(happens(new_order(), Event.WITHDRAW), trading_day=yesterday)
    for number in range(3):
        Fill.objects.create(
            order=filled,
            account=account,
            trading_day=filled.trading_day,
            segment="NSE_EQ",
            broker_order_id="1",
            exchange_trade_id=str(number),
            quantity=1,
            price=Decimal(1),
        )
    (line,) = start.read(victor)["lines"]
    counts = (line.working, line.orders, line.filled, line.fills, line.denied, line.rejected)
    assert counts == (2, 5, 1, 3, 1, 1)


def test_switch_and_feed_of_each_account(victor, account):
    switch.halt("paper-one", "limits look wrong", "olivia")
    page = page_of(victor)
    accounts = part(page, "accounts")
    assert "Halted" in accounts
    assert "Silent" in accounts
    assert "worker, exits and 6 more silent" in part(page, "needs")
    assert "feed:paper-one: no sign of life yet" in part(page, "health")
    assert "paper-one is HALTED" in page.split('id="start-banner"')[1]


def test_approvals_are_for_whom_they_wait(rita, victor, account):
    switch.halt("paper-one", "x", "x")
    resuming.ask("paper-one", rita, "prices are right again")
    assert "waits for somebody else" in part(page_of(rita), "approvals")
    assert "to approve" not in part(page_of(rita), "needs")
    ruben = page_of(member("ruben", R))
    assert "waits for you" in part(ruben, "approvals")
    assert "1 to approve or refuse" in part(ruben, "needs")
    assert "waits for somebody else" in part(page_of(victor), "approvals")


def test_the_worst_alerts_come_first_and_the_rest_is_a_link_away(rita, account):
    for number in range(8):
        raise_alert(f"w{number}", f"warning {number}", Severity.WARNING)
    raise_alert("c", "<b>the worst</b>", Severity.CRITICAL)
    page = part(page_of(rita), "alerts")
    assert page.index("&lt;b&gt;the worst") < page.index("warning 7") < page.index("warning 6")
    assert "warning 0" not in page
    assert "All 9" in page
    needs = part(page_of(rita), "needs")
    assert "1 critical alert" in needs
    assert "8 warnings" in needs


def test_acknowledging_is_for_who_may_and_the_first_stays(rita, victor, account):
    raise_alert("x", "something")
    alert = Alert.objects.get()
    address = f"/admin/alerts/acknowledge/{alert.pk}/"
    assert signed_in(victor).post(address).status_code == 403
    assert signed_in(rita).get(address).status_code == 405
    alert.refresh_from_db()
    assert alert.acknowledged_at is None
    assert signed_in(rita).post(address)["Location"] == "/admin/"
    signed_in(member("adam", A)).post(address)
    alert.refresh_from_db()
    assert alert.acknowledged_by == rita
    raise_alert("x", "something again")
    assert Alert.objects.filter(acknowledged_at=None).count() == 1


def test_the_alerts_own_page_and_list_say_how_it_is_acknowledged(rita, victor, account):
    raise_alert("x", "something")
    alert = Alert.objects.get()
    address = f"/admin/alerts/alert/{alert.pk}/change/"
    assert "Acknowledge: I have seen this" in signed_in(rita).get(address).content.decode()
    for page in (address, "/admin/alerts/alert/"):
        seen = signed_in(victor).get(page).content.decode()
        assert "Risk officers and administrators" in seen
        assert "I have seen this" not in seen
    signed_in(rita).post(f"/admin/alerts/acknowledge/{alert.pk}/")
    assert "rita" in signed_in(victor).get(address).content.decode()


def test_a_viewer_gets_no_actions_and_a_trader_only_theirs(victor, rita, new_order):
    raise_alert("x", "something")
    new_order()
    acts = {"data-act=": {R, A}, "formaction=": {R, A}, "/admin/place/": {T, A}}
    for role in roles.ROLES:
        person = {V: victor, R: rita}.get(role) or member(f"some {role}", role)
        body = page_of(person).split('id="desk-start"')[1]
        for mark, allowed in acts.items():
            assert (mark in body) == (role in allowed), (role, mark)


def test_parts_read_again_equal_a_fresh_page(rita, new_order, account):
    client = signed_in(rita)
    old = client.get("/admin/").content.decode()
    unknown(new_order())
    raise_alert("x", "something", Severity.CRITICAL)
    switch.halt("paper-one", "x", "x")
    parts = client.get("/admin/", {"parts": "1"}).content.decode()
    fresh = client.get("/admin/").content.decode()
    clock = re.compile(r'title="[^"]*"')  # ages in health, which differ from look to look
    assert clock.sub("", parts.strip()) in clock.sub("", fresh)
    assert clock.sub("", parts.strip()) not in clock.sub("", old)


def test_more_of_everything_costs_no_more_queries(rita, new_order, account):
    owner = member("otto", superuser=True)

    def more(number):
        unknown(new_order())
        working(new_order(), f"b{number}")
        raise_alert(f"a{number}", "something")
        name = f"more-{number}"
        other = BrokerAccount.objects.create(
            name=name, client_id=f"7{number}", rest_url="http://127.0.0.1:9/v2", feed_url="ws://x"
        )
        switch.equip(other)
        switch.halt(name, "x", "x")
        resuming.ask(name, owner, "again")
        source = SignalSource(name=f"s{number}", account=other)
        open_source(source)
        heard_signal(source, other, number)

    client = signed_in(rita)

    def cost():
        with CaptureQueriesContext(connection) as asked:
            assert client.get("/admin/", {"parts": "1"}).status_code == 200
        return len(asked)

    more(0)
    cost()
    one = cost()
    for number in range(1, 12):
        more(number)
    assert cost() == one
    assert one <= 24
    assert "&lt;i&gt;X" in page_of(rita)
