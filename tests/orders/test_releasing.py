"""Two people release an order in doubt, and only when the desk cannot find out by itself."""

from __future__ import annotations

import io
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone

from apps.alerts.models import Alert
from apps.alerts.raising import sign_of_life
from apps.brokers.dhan.reporting import DhanReporting
from apps.brokers.locks import order_lock_if_free
from apps.brokers.models import WireCall
from apps.brokers.port import Known, Segment
from apps.desk import doubts, start, timeline
from apps.orders import lifecycle, releasing, services
from apps.orders.dispatch import dispatch
from apps.orders.ingest import FEED, apply_report
from apps.orders.lifecycle import Happening
from apps.orders.models import Order
from apps.orders.reconcile import reconcile
from apps.orders.services import BadOrder
from apps.orders.states import Event, Status
from apps.orders.sweep import sweep
from apps.people import roles
from apps.risk import approvals
from apps.risk.approvals import NotAllowed, NotOpen
from apps.risk.models import Hold, RiskPolicy
from tests.orders.telling import FILLED, WORKING, OnTheSide, report, sent
from tests.people.conftest import approval_above, member

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
WHY = "not in the broker's order history"
TOMORROW = timedelta(days=1)


@pytest.fixture(autouse=True)
def _at_once(settings):
    """People may ask at once; the tests of the waits set them."""
    settings.RELEASE_AFTER = 0
    settings.RELEASE_UNREAD_AFTER = 0


@pytest.fixture
def tara(db):
    return member("tara", roles.TRADER)


@pytest.fixture
def rita(db):
    return member("rita", roles.RISK)


@pytest.fixture
def lost(order, exchange) -> Order:
    """UNKNOWN, and not at the exchange; the broker's books cannot be read."""
    exchange.fault("drop_before_accept", "place", times=1)
    exchange.fault("http_500", "book")
    assert sent(order).status == "UNKNOWN"
    return order


@pytest.fixture
def hidden(order, exchange) -> Order:
    """UNKNOWN, and at the exchange; the broker's books cannot be read."""
    exchange.fault("drop_after_accept", "place", times=1)
    exchange.fault("lookup_404", "by_correlation", seconds=60)
    exchange.fault("http_500", "book")
    assert sent(order).status == "UNKNOWN"
    return order


def decided(asked, person, answer=True):
    done = approvals.decide(asked.pk, person, "I have seen it too", approve=answer)
    done.refresh_from_db()
    return done


def released(order, maker, checker) -> Order:
    done = decided(releasing.ask(order, maker, WHY), checker)
    assert done.result.startswith("released"), done.result
    return now(order)


def now(order) -> Order:
    order.refresh_from_db()
    return order


def forced(order, status) -> Order:
    """A status that nothing brought it into."""
    Order.objects.filter(pk=order.pk).update(status=status)
    return now(order)


def releases(order):
    return order.events.filter(event=Event.RELEASE)


def test_two_people_release_it_and_everything_follows_at_once(lost, tara, rita):
    unknown = Alert.objects.get(key=f"unknown:{lost.correlation_id}")
    assert unknown.open
    before = now(lost).live_seq
    released(lost, tara, rita)
    assert lost.status == "NEVER_ARRIVED"
    assert lost.reason == f"released by tara and rita: {WHY} / I have seen it too"
    event = releases(lost).get()
    assert (event.before, event.after) == ("UNKNOWN", "NEVER_ARRIVED")
    assert event.actor == "rita, asked by tara"
    assert Hold.objects.get().released_at is not None
    unknown.refresh_from_db()
    assert not unknown.open
    assert "released by tara and rita" in unknown.acknowledged_reason
    assert lost.live_seq > before
    assert lost.finished_at is not None
    assert releasing.was_released(lost)
    assert not Alert.objects.filter(key__startswith="absent:").exists()


def test_the_second_person_sees_the_terms_and_what_the_statement_shows(lost, tara):
    asked = releasing.ask(lost, tara, WHY)
    facts = dict(approvals.kind_of(asked).facts(asked))
    assert facts["What"] == "Release BUY 1 RELIANCE at 1400"
    assert facts["Correlation id"] == lost.correlation_id
    assert (facts["Is now"], facts["Filled"][:6]) == ("UNKNOWN", "0 of 1")
    text = Alert.objects.get(key=f"approval:{asked.pk}").text
    assert WHY in text
    assert "BUY 1 RELIANCE at 1400" in text


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.UNKNOWN, Status.IMPORTED}))
def test_no_other_status_is_released(lost, tara, rita, status):
    asked = releasing.ask(lost, tara, WHY)
    forced(lost, status)
    assert decided(asked, rita).result.startswith("not done")
    with pytest.raises(NotOpen, match=f"{status}; only one that is UNKNOWN"):
        releasing.ask(lost, tara, WHY)
    assert now(lost).status == status
    assert not releases(lost).exists()
    assert Hold.objects.get().released_at is None


@pytest.mark.parametrize(
    ("who", "may"), [("", 0), (roles.VIEWER, 0), *((role, 1) for role in roles.ROLES[1:])]
)
def test_who_may_cancel_may_ask(lost, who, may):
    person = member("xaver", who)
    if may:
        assert releasing.ask(lost, person, WHY).requested_by == person
        return
    with pytest.raises(NotAllowed):
        releasing.ask(lost, person, WHY)


@pytest.mark.parametrize("who", ["", roles.VIEWER, roles.TRADER])
def test_who_may_not_decide_releases_nothing(lost, tara, who):
    asked = releasing.ask(lost, tara, WHY)
    with pytest.raises(NotAllowed, match="may not decide"):
        decided(asked, member("xaver", who))
    assert now(lost).status == "UNKNOWN"


def test_nobody_releases_alone(lost, rita):
    owner = member("otto", superuser=True)
    for person in (rita, owner):
        asked = releasing.ask(lost, person, WHY)
        with pytest.raises(NotAllowed, match="yourself"):
            decided(asked, person)
        approvals.withdraw(asked.pk, "x", "x")
    assert now(lost).status == "UNKNOWN"


def test_not_even_the_one_pen_releases_without_two_people(lost, tara, rita):
    happening = Happening(event=Event.RELEASE, origin="test")
    with pytest.raises(ProgrammingError, match="nobody else has approved"):
        lifecycle.apply(lost.pk, happening)
    asked = releasing.ask(lost, tara, WHY)
    with pytest.raises(ProgrammingError, match="nobody else has approved"):
        lifecycle.apply(lost.pk, happening)
    decided(asked, rita, answer=False)
    with pytest.raises(ProgrammingError, match="nobody else has approved"):
        lifecycle.apply(lost.pk, happening)
    assert now(lost).status == "UNKNOWN"


@pytest.mark.parametrize("reason", ["", "  "])
def test_it_needs_a_reason(lost, tara, reason):
    with pytest.raises(BadOrder, match="statement"):
        releasing.ask(lost, tara, reason)


def test_it_is_asked_for_once_at_a_time(lost, tara, rita):
    asked = releasing.ask(lost, tara, WHY)
    assert releasing.waiting(lost) == asked
    with pytest.raises(NotOpen, match="waiting"):
        releasing.ask(lost, rita, WHY)


@pytest.mark.parametrize("end", ["refused", "withdrawn", "expired"])
def test_what_nobody_approves_leaves_it_in_doubt(lost, tara, rita, end):
    asked = releasing.ask(lost, tara, WHY)
    if end == "refused":
        decided(asked, rita, answer=False)
    elif end == "withdrawn":
        approvals.withdraw(asked.pk, "tara", "found it")
    else:
        with time_machine.travel(timezone.now() + timedelta(minutes=11)):
            with pytest.raises(NotOpen, match="expired"):
                decided(asked, rita)
            sweep()
    asked.refresh_from_db()
    assert asked.decision == end.upper()
    assert (now(lost).status, asked.executed_at) == ("UNKNOWN", None)
    assert Hold.objects.get().released_at is None
    releasing.ask(lost, tara, WHY)


def test_a_right_lost_before_it_is_carried_out_stops_it(lost, tara, rita):
    asked = releasing.ask(lost, tara, WHY)
    approvals.record(asked.pk, rita, "yes", approve=True)
    tara.groups.clear()
    assert "tara may no longer" in approvals.carry_out(asked.pk).result
    assert now(lost).status == "UNKNOWN"


def test_it_waits_while_the_desk_looks_by_itself(lost, tara, settings):
    settings.RELEASE_AFTER = 60
    with pytest.raises(NotOpen, match="looking by itself; it may be asked from"):
        releasing.ask(lost, tara, WHY)
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        releasing.ask(lost, tara, WHY)


def test_unread_books_must_stay_unread_for_long(lost, tara, settings):
    settings.RELEASE_UNREAD_AFTER = 900
    with pytest.raises(NotOpen, match=r"cannot be read.* it may be asked from"):
        releasing.ask(lost, tara, WHY)
    with time_machine.travel(timezone.now() + timedelta(seconds=901)):
        releasing.ask(lost, tara, WHY)


def test_books_that_were_read_and_still_do_not_tell_are_enough(lost, account, tara, settings):
    settings.RELEASE_AFTER, settings.RELEASE_UNREAD_AFTER = 60, 900
    sign_of_life(f"reconcile:{account.name}")
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        with pytest.raises(NotOpen, match="cannot be read"):
            releasing.ask(lost, tara, WHY)
        sign_of_life(f"reconcile:{account.name}")
        releasing.ask(lost, tara, WHY)


def test_no_book_tells_of_an_after_market_order(lost, tara, settings):
    settings.RELEASE_UNREAD_AFTER = 900
    Order.objects.filter(pk=lost.pk).update(after_market=True)
    releasing.ask(lost, tara, WHY)


def test_the_wait_is_looked_at_again_when_it_is_carried_out(lost, tara, rita, settings):
    asked = releasing.ask(lost, tara, WHY)
    settings.RELEASE_AFTER = 60
    assert "looking by itself" in decided(asked, rita).result
    assert now(lost).status == "UNKNOWN"


def test_news_since_it_was_asked_ends_the_request(hidden, account, exchange, tara, rita):
    asked = releasing.ask(hidden, tara, WHY)
    exchange.heal()
    reconcile(account)
    done = decided(asked, rita)
    assert done.result.startswith("not done: the doubt has ended by itself")
    assert now(hidden).status in {"SUBMITTED", "OPEN"}
    assert Hold.objects.get().released_at is None
    assert not releases(hidden).exists()


def test_the_last_look_finds_what_two_people_overlooked(hidden, exchange, tara, rita):
    asked = releasing.ask(hidden, tara, WHY)
    exchange.heal()
    assert "the doubt has ended by itself" in decided(asked, rita).result
    assert now(hidden).status in {"SUBMITTED", "OPEN"}


def test_news_that_leaves_it_in_doubt_must_be_looked_at_again(lost, account, tara, rita):
    asked = releasing.ask(lost, tara, WHY)
    apply_report(account, report(lost, segment=Segment.NSE_FNO), FEED)
    assert now(lost).status == "UNKNOWN"
    assert "the broker has spoken of the order" in decided(asked, rita).result
    assert now(lost).status == "UNKNOWN"
    assert decided(releasing.ask(lost, tara, WHY), rita).result.startswith("released")


def test_another_doubt_of_the_same_order_is_not_the_one_approved(lost, account, tara, rita):
    asked = releasing.ask(lost, tara, WHY)
    apply_report(account, report(lost, WORKING), FEED)
    lifecycle.apply(lost.pk, Happening(event=Event.OUTLIVE, origin="test"))
    assert now(lost).status == "UNKNOWN"
    assert decided(asked, rita).result.startswith("not done")
    assert now(lost).status == "UNKNOWN"


@pytest.mark.parametrize("state", [WORKING, FILLED])
def test_one_that_shows_up_after_all_is_adopted_with_an_alarm(
    hidden, account, exchange, tara, rita, state
):
    released(hidden, tara, rita)
    assert Hold.objects.get().released_at is not None
    exchange.heal()
    if state is FILLED:
        apply_report(account, report(hidden, FILLED, quantity=1, filled_quantity=1), FEED)
        assert now(hidden).status == "FILLED"
    else:
        reconcile(account)
        assert now(hidden).status in {"SUBMITTED", "OPEN"}
        assert Hold.objects.get().released_at is None
    late = Alert.objects.get(key=f"late:{hidden.correlation_id}")
    assert (late.severity, late.open) == ("CRITICAL", True)
    assert "NEVER_ARRIVED" in late.text
    assert not releasing.was_released(hidden)


def test_a_released_order_is_never_sent_again(lost, exchange, tara, rita, trader):
    released(lost, tara, rita)
    exchange.heal()
    Order.objects.filter(pk=lost.pk).update(next_look_at=None, not_before=None)
    for _ in range(3):
        sweep(direct=True)
        dispatch(lost.pk)
    with pytest.raises(services.TooLate):
        services.cancel(lost, trader, "x")
    assert now(lost).status == "NEVER_ARRIVED"
    assert exchange.report()["orders"] == 0
    places = WireCall.objects.filter(correlation_id=lost.correlation_id, verb="PLACE")
    assert places.count() == 1


def limit_open_orders(account, count):
    policy = approval_above(account, 10**7)
    fields = {f.name: getattr(policy, f.name) for f in RiskPolicy._meta.fields if f.name != "id"}
    fields |= {"version": policy.version + 1, "max_open_orders": count}
    RiskPolicy.objects.create(**fields)


def test_overnight_nothing_but_people_ends_the_doubt(
    lost, account, exchange, place, tara, rita, settings
):
    limit_open_orders(account, 1)
    settings.CLOCK_LIMIT = 2 * TOMORROW.total_seconds()  # the exchange stays in today
    settings.RELEASE_AFTER = settings.RELEASE_UNREAD_AFTER = 900
    exchange.heal()
    time.sleep(1.3)  # whatever its call did is over
    with time_machine.travel(timezone.now() + TOMORROW):
        for _ in range(3):
            Order.objects.filter(pk=lost.pk).update(next_look_at=None)
            sweep(direct=True)
            reconcile(account)
        assert (now(lost).status, lost.absences) == ("UNKNOWN", 0)
        assert lost.looks >= 3
        assert Hold.objects.get().released_at is None
        assert "open orders" in place().reason
        doubt = doubts.doubtful()[0]
        assert (doubt.pk, doubt.why, doubt.stays) == (lost.pk, doubts.OF_AN_EARLIER_DAY, True)
        need = start.read(rita)["needs"][0]
        assert (need.tone, need.text) == ("alarm", "1 in doubt")
        released(lost, tara, rita)
        assert place().status == "APPROVED"


def test_overnight_it_is_adopted_even_after_its_release(hidden, account, exchange, tara, rita):
    with time_machine.travel(timezone.now() + TOMORROW):
        released(hidden, tara, rita)
        exchange.heal()
        reconcile(account)
        assert now(hidden).status in {"SUBMITTED", "OPEN"}
        assert Hold.objects.get().released_at is None
        assert Alert.objects.filter(key=f"late:{hidden.correlation_id}").exists()


def test_one_that_outlived_its_day_keeps_what_it_filled(working, account, exchange, tara, rita):
    order = working(quantity=10)
    apply_report(account, report(order, quantity=10, filled_quantity=4), FEED)
    exchange.reset()
    with time_machine.travel(timezone.now() + TOMORROW):
        sweep(direct=True)
        assert now(order).status == "UNKNOWN"
        released(order, tara, rita)
        assert (order.status, order.filled_quantity) == ("NEVER_ARRIVED", 4)
        assert Hold.objects.get().released_at is not None


def test_two_approvals_at_once_release_it_once(lost, tara, rita):
    ruben = member("ruben", roles.RISK)
    asked = releasing.ask(lost, tara, WHY)
    start_line = threading.Barrier(2)

    def approve(person):
        start_line.wait()
        return approvals.decide(asked.pk, person, "seen", approve=True)

    sides = [OnTheSide(approve, person) for person in (rita, ruben)]
    results = [side.over() for side in sides]
    assert sum(isinstance(result, NotOpen) for result in results) == 1, results
    approvals.carry_out(asked.pk)
    assert (now(lost).status, releases(lost).count()) == ("NEVER_ARRIVED", 1)


def test_carried_out_twice_at_once_it_is_released_once(lost, tara, rita):
    asked = releasing.ask(lost, tara, WHY)
    approvals.record(asked.pk, rita, "seen", approve=True)
    for side in [OnTheSide(approvals.carry_out, asked.pk) for _ in range(4)]:
        assert not isinstance(side.over(), Exception), side.result
    approvals.carry_out(asked.pk)
    assert (now(lost).status, releases(lost).count()) == ("NEVER_ARRIVED", 1)


def test_a_look_under_way_is_not_contradicted(hidden, account, tara, rita, monkeypatch):
    """It has read a book with the order, and says so after the second person says yes."""
    reading, go_on = threading.Event(), threading.Event()

    def slow_book(self):
        reading.set()
        go_on.wait(20)
        return Known([report(hidden, WORKING)], timezone.now())

    asked = releasing.ask(hidden, tara, WHY)
    monkeypatch.setattr(DhanReporting, "order_book", slow_book)
    Order.objects.filter(pk=hidden.pk).update(next_look_at=None)
    looking = OnTheSide(sweep, direct=True)
    assert reading.wait(10)
    done = decided(asked, rita)
    assert (done.decision, done.executed_at, done.result) == ("APPROVED", None, "")
    assert now(hidden).status == "UNKNOWN"
    go_on.set()
    looking.over()
    assert now(hidden).status == "OPEN"
    with time_machine.travel(timezone.now() + timedelta(seconds=3)):
        approvals.sweep()
    asked.refresh_from_db()
    assert asked.result.startswith("not done: the doubt has ended by itself")
    assert not Alert.objects.filter(key__startswith="late:").exists()
    assert Hold.objects.get().released_at is None


@contextmanager
def somebody_asking(order):
    """While somebody else talks to the broker about the order."""
    held, let_go = threading.Event(), threading.Event()

    def hold():
        with order_lock_if_free(order.correlation_id):
            held.set()
            let_go.wait(20)

    side = OnTheSide(hold)
    assert held.wait(10)
    yield
    let_go.set()
    side.over()


def test_whoever_asks_for_too_long_ends_the_release(lost, tara, rita):
    asked = releasing.ask(lost, tara, WHY)
    with somebody_asking(lost):
        decided(asked, rita)
        with time_machine.travel(timezone.now() + timedelta(seconds=61)):
            approvals.sweep()
    asked.refresh_from_db()
    assert asked.result == "not done: it could not be done in time after the approval"
    assert now(lost).status == "UNKNOWN"


def test_it_is_released_by_the_sweep_once_the_look_is_over(lost, tara, rita):
    asked = releasing.ask(lost, tara, WHY)
    with somebody_asking(lost):
        assert decided(asked, rita).executed_at is None
    with time_machine.travel(timezone.now() + timedelta(seconds=3)):
        approvals.sweep()
    assert now(lost).status == "NEVER_ARRIVED"


def test_news_that_is_being_stored_is_not_contradicted(lost, account, tara, rita):
    """The feed's news has the order's row when the second person says yes."""
    asked = releasing.ask(lost, tara, WHY)
    has_row, go_on = threading.Event(), threading.Event()

    def news():
        with transaction.atomic():
            lifecycle.locked(lost.pk)
            has_row.set()
            go_on.wait(20)
            apply_report(account, report(lost, WORKING), FEED)

    telling = OnTheSide(news)
    assert has_row.wait(10)
    deciding = OnTheSide(decided, asked, rita)
    time.sleep(0.5)
    go_on.set()
    assert telling.over() is None
    assert deciding.over().result.startswith("not done: the doubt has ended by itself")
    assert now(lost).status == "OPEN"


@pytest.mark.parametrize("turn", range(4))
def test_whoever_is_first_news_wins_in_the_end(lost, account, tara, rita, turn):
    asked = releasing.ask(lost, tara, WHY)
    approvals.record(asked.pk, rita, "seen", approve=True)
    start_line = threading.Barrier(2)

    def together(act, *args):
        start_line.wait()
        return act(*args)

    sides = [
        OnTheSide(together, approvals.carry_out, asked.pk),
        OnTheSide(together, apply_report, account, report(lost, WORKING), FEED),
    ]
    for side in sides:
        assert not isinstance(side.over(), Exception), side.result
    assert now(lost).status == "OPEN"
    assert Hold.objects.get().released_at is None
    was_late = Alert.objects.filter(key=f"late:{lost.correlation_id}").exists()
    assert was_late == releases(lost).exists()


def test_the_timeline_tells_who_asked_and_who_approved(lost, tara, rita):
    released(lost, tara, rita)
    told = [entry for entry in timeline.of(lost) if entry.kind == "Approval"]
    assert [entry.title for entry in told] == ["Its release is asked for", "Approved"]
    assert [str(dict(entry.facts)["By"]) for entry in told] == ["tara", "rita"]
    assert told[0].text == WHY


def command(*words):
    out = io.StringIO()
    call_command("release_order", *words, stdout=out)
    return out.getvalue()


def test_the_command_only_asks(lost, tara, rita, settings):
    words = [lost.correlation_id, "--as", "tara", "--reason"]
    member("victor", roles.VIEWER)
    with pytest.raises(CommandError, match="may not"):
        command(lost.correlation_id, "--as", "victor", "--reason", WHY)
    with pytest.raises(CommandError, match="no order"):
        command("feed", "--as", "tara", "--reason", WHY)
    with pytest.raises(CommandError, match="reason: say what"):
        command(*words, " ")
    assert "second person" in command(*words, WHY)
    assert now(lost).status == "UNKNOWN"
    with pytest.raises(CommandError, match="waiting for an approval already"):
        command(*words, WHY)
    decided(releasing.waiting(lost), rita)
    with pytest.raises(CommandError, match="NEVER_ARRIVED; only one that is UNKNOWN"):
        command(*words, WHY)


def test_the_fence_stands_in_the_database(lost):
    """A row written past the desk's code is refused too."""
    values = "(order_id, event, origin, dedupe_key, applied, before, after, text, actor, facts, at)"
    with connection.cursor() as cursor, pytest.raises(ProgrammingError, match="nobody else"):
        cursor.execute(
            f"INSERT INTO orders_orderevent {values} VALUES"
            " (%s, 'RELEASE', 'x', 'x', true, 'UNKNOWN', 'NEVER_ARRIVED', '', '', '{}', now())",
            [lost.pk],
        )
