"""Brackets on the live page: legs under their entry, filters, rights, and the law of the page."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.db.models import ForeignKey
from django.utils import timezone

from apps.desk import blotter, feeding, rows, units
from apps.desk.blotter import Filters
from apps.orders import bracket_guard, bracket_sight
from apps.orders.models import (
    Bracket,
    BracketStatus,
    DeskSequence,
    ImportedRow,
    LegacyImport,
)
from apps.orders.states import Event
from tests.desk.conftest import happens, person, unknown, working
from tests.desk.sockets import Page, signed_in, units_in
from tests.desk.test_live_socket import ALL, heard, opened, seen_of, talk

pytestmark = pytest.mark.django_db(transaction=True)


def page_of(client, **filters):
    return client.get("/admin/live/", filters).content.decode()


def lines(text):
    """Of each row: its id, whether it is hidden, and what it says."""
    found = []
    for row in text.split("<tr id=")[1:]:
        head, _, body = row.partition(">")
        said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body.split("</tr>")[0]))
        found.append((head.split('"')[1], " hidden" in head, said.strip()))
    return found


def leg(bracket, part):
    return f"leg-{bracket.legs.get(leg=part).pk}"


def test_the_legs_stand_under_their_entry_before_they_have_orders(operator, bracket, new_order):
    newer = new_order()
    bracket_sight.show_legs(bracket, bracket_sight.orders_of(bracket), bracket.legs.all())
    found = lines(page_of(signed_in(operator)))
    legs = [leg(bracket, part) for part in ("ENTRY", "TARGET", "STOP_LOSS")]
    assert [key for key, _, _ in found] == [f"order-{newer.pk}", *legs]
    said = {key: text for key, _, text in found}
    assert f"entry of bracket {bracket.pk}" in said[legs[0]]
    assert "0 / 10" in said[legs[1]]
    assert "Target of bracket" in said[legs[1]]
    for words in ("₹2,550.00", "Awaited", "placed as the entry fills", "SELL exit"):
        assert words in said[legs[1]]
    for words in ("Stop-loss of bracket", "Awaited", "trigger ₹2,480.00"):
        assert words in said[legs[2]]


def test_a_leg_that_the_broker_keeps_waits_there(operator, bracket):
    Bracket.objects.filter(pk=bracket.pk).update(style="SUPER")
    said = {key: text for key, _, text in lines(page_of(signed_in(operator)))}
    assert "waits at the broker for the entry" in said[leg(bracket, "TARGET")]


def test_a_leg_with_an_order_shows_the_order(operator, story):
    story.entered()
    story.trail(2490)
    said = {key: text for key, _, text in lines(page_of(signed_in(operator)))}
    assert "Open" in said[leg(story.bracket, "TARGET")]
    stop = said[leg(story.bracket, "STOP_LOSS")]
    for words in ("Open", "trigger ₹2,490.00", "₹2,480.00", "STOP_LOSS-1"):
        assert words in stop


def test_a_replaced_stop_is_the_same_leg(operator, story):
    story.entered()
    story.stop_is_replaced()
    found = lines(page_of(signed_in(operator)))
    assert [key for key, _, _ in found] == [
        leg(story.bracket, part) for part in ("ENTRY", "TARGET", "STOP_LOSS")
    ]
    for words in ("4 / 10", "order 2", "Open", "avg ₹2,479.00"):
        assert words in found[2][2]


def test_an_earlier_order_that_may_still_trade_has_a_row_of_its_own(operator, story):
    story.entered()
    first = story.stop
    story.exit("STOP_LOSS", price=Decimal(2470))
    found = lines(page_of(signed_in(operator)))
    assert found[3][0] == f"order-{first.pk}"
    assert "Stop-loss, order 1" in found[3][2]


def test_way_out_is_under_the_entry(operator, story):
    story.entered()
    story.left()
    found = lines(page_of(signed_in(operator)))
    assert ["Way out" in text for _, _, text in found] == [True, False, False, True]
    assert [hidden for _, hidden, _ in found] == [False, True, True, True]
    assert "Way out: filled" in found[0][2]  # the entry says how it ended while the legs are folded


def test_a_bracket_that_is_over_is_folded_and_one_that_is_alive_is_open(operator, story):
    client = signed_in(operator)
    story.entered()
    assert not any(hidden for _, hidden, _ in lines(page_of(client)))
    assert 'aria-expanded="true"' in page_of(client)
    story.target_fills()
    page = page_of(client)
    assert [hidden for _, hidden, _ in lines(page)] == [False, True, True]
    assert 'aria-expanded="false"' in page
    assert "Target: filled" in lines(page)[0][2]


def test_held_without_a_stop_is_said_at_the_entry(operator, story):
    working(story.entry, "7001")
    story.look(exposed_since=timezone.now())
    assert "no stop at work for" in lines(page_of(signed_in(operator)))[0][2]


def test_one_leg_that_matches_brings_its_parent_and_the_others(operator, story, new_order):
    story.entered()
    happens(new_order(), Event.WITHDRAW)
    client = signed_in(operator)
    whole = [leg(story.bracket, part) for part in ("ENTRY", "TARGET", "STOP_LOSS")]

    def shown(**filters):
        return [key for key, _, _ in lines(page_of(client, **filters)) if "leg-" in key]

    for filters in (
        {"group": "filled"},
        {"group": "working"},
        {"source": "SYSTEM"},
        {"source": "ADMIN"},
        {"text": "STOP_LOSS-1"},
        {"text": "7001"},
        {"text": "relia"},
        {"text": story.target.correlation_id},
        {"account": story.bracket.account_id},
    ):
        assert shown(**filters) == whole, filters
    for filters in (
        {"group": "ended"},
        {"group": "unknown"},
        {"group": "refused"},
        {"source": "SIGNAL"},
        {"text": "nothing"},
        {"strategy": "momentum"},
    ):
        assert shown(**filters) == [], filters


def test_an_awaited_leg_counts_as_working_and_a_replaced_order_is_not_found(operator, story):
    client = signed_in(operator)
    happens(story.entry, Event.WITHDRAW)
    assert len(lines(page_of(client, group="working"))) == 3
    story.look(status="OVER", finished_at=timezone.now())
    assert lines(page_of(client, group="working")) == []
    assert len(lines(page_of(client, group="ended"))) == 3


def test_the_cancelled_order_of_a_leg_that_has_a_new_one_does_not_count(operator, story):
    story.entered()
    story.stop_is_replaced()
    assert lines(page_of(signed_in(operator), group="ended")) == []


def test_a_leg_that_the_broker_keeps_is_drawn_from_its_own_row(operator, story):
    story.entered()
    other = Bracket.objects.create(
        account=story.bracket.account, instrument=story.bracket.instrument, side="SELL",
        product="INTRADAY", quantity=5, style="SUPER", entry_price=Decimal(2500),
        stop_price=Decimal(2520), source="SIGNAL", actor="momentum", status="HOLDING",
    )  # fmt: skip
    for part, status in (("ENTRY", "FILLED"), ("STOP_LOSS", "UNKNOWN")):
        other.legs.create(
            account=other.account, leg=part, quantity=5, status=status, leg_order_id=f"super-{part}"
        )
    found = lines(page_of(signed_in(operator)))
    assert [key for key, _, _ in found[:2]] == [leg(other, "ENTRY"), leg(other, "STOP_LOSS")]
    assert "Unknown" in found[1][2]
    assert "super-STOP_LOSS" in found[1][2]
    page = page_of(signed_in(operator), group="unknown")
    assert len(lines(page)) == 2
    assert lines(page_of(signed_in(operator), text="super-stop"))[0][0] == leg(other, "ENTRY")


def test_an_unknown_leg_brings_its_bracket_to_the_top(operator, story, new_order):
    story.entered()
    new_order()
    lost = story.new_order(request_key=f"{story.bracket.name}:OUT:1", side="SELL", intent="EXIT")
    unknown(lost)
    found = lines(page_of(signed_in(operator)))
    assert [key for key, _, _ in found][3] == f"order-{lost.pk}"
    assert 'data-pinned="1"' in page_of(signed_in(operator)).split("</tbody")[0]


ACTS = {
    "orders.modify_order": ["modify", "modify", "modify"],
    "orders.cancel_order": ["cancel", "drop"],
    "orders.place_order": ["stop"],
}


@pytest.mark.parametrize("permission", ACTS)
def test_each_act_needs_its_own_permission(story, permission):
    story.entered(filled=4)
    page = page_of(signed_in(person("anna", "orders.view_order", permission)))
    body = page.split("<tbody")[1].split("</tbody")[0]
    assert re.findall(r'data-(?:act|go)="(\w+)"', body) == ACTS[permission]


def test_nothing_is_offered_on_legs_that_are_over(operator, story):
    story.entered()
    story.target_fills()
    body = page_of(signed_in(operator)).split("<tbody")[1].split("</tbody")[0]
    assert re.findall(r'data-(?:act|go)="(\w+)"', body) == ["halt"]


def test_many_brackets_need_as_many_queries_as_one(
    operator, story, django_assert_num_queries, account, reliance
):
    client = signed_in(operator)
    story.entered()
    unknown(story.new_order(request_key=f"{story.bracket.name}:BACK:1"))
    page_of(client)
    with django_assert_num_queries(QUERIES):
        assert len(lines(page_of(client))) == 4
    for number in range(20):
        other = Bracket.objects.create(
            account=account, instrument=reliance, side="BUY", product="INTRADAY", quantity=10,
            style="MANAGED", stop_price=Decimal(2480), source="ADMIN", actor="tara",
        )  # fmt: skip
        for part in ("ENTRY", "STOP_LOSS"):
            other.legs.create(account=account, leg=part, quantity=10)
        order = story.new_order(request_key=f"{other.name}:ENTRY:1")
        unknown(order) if number % 5 == 0 else working(order, str(number))
    with django_assert_num_queries(QUERIES):
        assert len(lines(page_of(client))) == 44
    with django_assert_num_queries(QUERIES):
        assert len(lines(page_of(client, group="working"))) == 44


QUERIES = 20


def test_news_of_many_brackets_needs_as_many_queries_as_of_one(
    story, django_assert_num_queries, account
):
    story.entered()
    seen = {account.pk: 0}
    with django_assert_num_queries(9):
        assert len(blotter.changes(Filters(), seen).units) == 1
    for _ in range(5):
        story.new_order()
    with django_assert_num_queries(9):
        assert len(blotter.changes(Filters(), seen).units) == 6


LAW = [
    {},
    {"group": "working"},
    {"group": "unknown"},
    {"group": "filled"},
    {"group": "ended"},
    {"source": "SYSTEM"},
    {"source": "ADMIN"},
    {"text": "STOP_LOSS-2"},
]
ENDS = {"target": "target_fills", "left": "left"}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("filters", LAW, ids=str)
def test_old_page_and_events_equal_a_fresh_page_after_each_step(operator, story, filters, end):
    """The law of the live page, with the whole life of a bracket, looked at after each step."""
    signed = signed_in(operator)
    old = page_of(signed, **filters)
    page = Page(old, seen_of(old))
    parsed = Filters.parse(filters)
    for step in (
        lambda: None,
        story.entered,
        lambda: story.trail(2490),
        lambda: unknown(story.new_order(request_key=f"{story.bracket.name}:BACK:1")),
        story.stop_is_replaced,
        lambda: Bracket.objects.filter(pk=story.bracket.pk).update(target_price=None),
        story.look,
        getattr(story, ENDS[end]),
    ):
        step()
        batch = feeding.news(parsed, page.seen, ALL)
        assert not any(page.take(message) for message in batch.messages)
        fresh = page_of(signed, **filters)
        assert page.drawn() == units_in(fresh), step
        assert page.seen == seen_of(fresh) == batch.seen


def test_a_page_that_listens_hears_of_a_bracket_without_an_order(operator, account, reliance):
    """From the moment it is accepted: no order of it has spoken yet."""
    signed = signed_in(operator)
    seen = {account.pk: 0}
    DeskSequence.objects.create(account=account, value=0)

    def accepted():
        bracket = Bracket.objects.create(
            account=account, instrument=reliance, side="BUY", product="INTRADAY", quantity=10,
            style="MANAGED", stop_price=Decimal(2480), source="ADMIN", actor="tara",
        )  # fmt: skip
        for part in ("ENTRY", "STOP_LOSS"):
            bracket.legs.create(account=account, leg=part, quantity=10)
        return bracket

    async def scenario():
        socket = await opened(signed, seen=seen)
        await heard(socket, "pulse")
        bracket = await sync_to_async(accepted)()
        (message,) = [m for m in await heard(socket, "pulse") if m["type"] == "row"]
        assert message["id"] == f"bracket-{bracket.pk}"
        assert message["html"].count('data-status="AWAITED"') == 2
        await socket.disconnect()

    talk(scenario)


def test_a_look_that_shows_something_new_is_announced(story, monkeypatch):
    told = []
    monkeypatch.setattr("apps.orders.announce.changed", lambda *news: told.append(news))
    working(story.entry, "7001")
    told.clear()
    monkeypatch.setattr(bracket_guard, "_look", lambda bracket: story.look(status="HOLDING"))
    bracket_guard.tend(story.bracket.pk)
    story.bracket.refresh_from_db()
    assert told == [(story.bracket.account_id, story.bracket.live_seq)]
    told.clear()
    bracket_guard.tend(story.bracket.pk)
    assert told == []


def different(row, field):
    """Another value for the column."""
    now = getattr(row, field.attname)
    if isinstance(now, dt.datetime) or field.get_internal_type() == "DateTimeField":
        return None if now and field.null else timezone.now()
    if isinstance(now, dt.date):
        return now + dt.timedelta(days=1)
    if field.name == "target_price":
        return None
    if field.get_internal_type() == "DecimalField":
        return Decimal(2495) if now is None else now + Decimal("0.05")
    if isinstance(now, int):
        return now + 1
    if field.choices:
        return next(word for word, _ in reversed(field.choices) if word not in {now, "IMPORTED"})
    return f"{now} and more"


LEFT_OUT = {"id", "account", "instrument", "user", "origin", "bracket", "order", "live_seq", "leg"}
# What never changes once a bracket is stored.
FOR_EVER = {"side", "product", "quantity", "strategy", "source", "actor", "cause", "created_at"}


@pytest.mark.parametrize("what", ["bracket", "awaited leg", "working leg"])
def test_a_column_that_shows_takes_a_number_and_one_that_does_not_takes_none(story, what):
    """No column can be drawn that open pages would not hear of; and pages are not woken in vain."""
    working(story.entry, "7001")
    part = {"awaited leg": "TARGET", "working leg": "ENTRY"}.get(what)
    row = story.bracket.legs.get(leg=part) if part else Bracket.objects.get(pk=story.bracket.pk)
    fields = [f for f in row._meta.concrete_fields if f.name not in LEFT_OUT]
    if what == "bracket":
        fields = [f for f in fields if f.name not in FOR_EVER]
    table = type(row).objects.filter(pk=row.pk)
    quiet = []
    for field in fields:
        assert not isinstance(field, ForeignKey)
        before, drawn = now_of(story.bracket.pk)
        was = getattr(row, field.attname)
        table.update(**{field.attname: different(row, field)})
        after, fresh = now_of(story.bracket.pk)
        if fresh != drawn:
            assert after == before + 1, field.name
        elif after == before:
            quiet.append(field.name)
        table.update(**{field.attname: was})
    expected = {"looked_at", "trail_price", "trail_stop"} if what == "bracket" else {"news_at"}
    assert expected <= set(quiet)


def now_of(pk):
    rows._drawn.cache_clear()
    bracket = Bracket.objects.select_related("account", "instrument").get(pk=pk)
    unit = units.of_bracket(bracket)
    html = rows.html_of(unit, ALL).replace(f'data-seq="{unit.seq}"', "")
    return bracket.live_seq and DeskSequence.objects.get().value, html


def test_imported_brackets_wake_nobody(account, reliance, story):
    before = DeskSequence.objects.get().value
    brought = LegacyImport.objects.create(actor="x", path="x", sha256="x", size=1, version="1")
    origin = ImportedRow.objects.create(
        brought_by=brought, table="brackets", legacy_id="1", identity="x", digest="x", content={}
    )
    Bracket.objects.create(
        account=account, instrument=reliance, side="BUY", product="INTRADAY", quantity=1,
        style="NATIVE", status=BracketStatus.IMPORTED, source="LEGACY", actor="x", origin=origin,
    )  # fmt: skip
    assert DeskSequence.objects.get().value == before
    assert len(blotter.read(Filters()).units) == 1
