"""The live page's protocol: who may listen, catching up, gaps, doubles, a broken layer."""

from __future__ import annotations

import asyncio
import html
import json

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Permission
from django.test import Client

from apps.desk import feeding
from apps.desk.blotter import Filters
from apps.desk.rights import Rights
from apps.orders.models import DeskSequence
from apps.orders.states import Event
from apps.risk import switch
from tests.desk.conftest import happens, unknown, working
from tests.desk.sockets import Page, signed_in, socket_of, units_in

pytestmark = pytest.mark.django_db(transaction=True)
on_rows = sync_to_async
ALL = Rights(*[True] * 5)


def talk(scenario):
    """Run one conversation to its end."""
    return async_to_sync(scenario)()


async def heard(socket, until, seconds=4.0):
    """Messages up to and with the first of the type that is waited for."""
    messages = []
    deadline = asyncio.get_running_loop().time() + seconds
    while not messages or messages[-1]["type"] != until:
        left = deadline - asyncio.get_running_loop().time()
        messages.append(await socket.receive_json_from(timeout=max(left, 0.01)))
    return messages


async def opened(client, **hello):
    socket = socket_of(client)
    connected, _ = await socket.connect()
    assert connected
    await socket.send_json_to({"type": "hello", "filters": {}, **hello})
    return socket


def closes_with(socket):
    async def read():
        while True:
            message = await socket.receive_output(4)
            if message["type"] == "websocket.close":
                return message["code"]

    return read()


@pytest.mark.parametrize("who", ["anonymous", "stranger", "not staff"])
def test_strangers_are_closed_with_4403(who, stranger, operator):
    client = Client()
    if who == "stranger":
        client = signed_in(stranger)
    if who == "not staff":
        operator.is_staff = False
        operator.save()
        client = signed_in(operator)

    async def scenario():
        socket = socket_of(client)
        await socket.connect()
        assert await closes_with(socket) == 4403
        await socket.disconnect()

    talk(scenario)


@pytest.mark.parametrize("loss", ["logout", "permission", "staff"])
def test_rights_are_read_again_at_each_catch_up(loss, operator, account):
    client = signed_in(operator)

    def lose():
        if loss == "logout":
            client.logout()
        elif loss == "permission":
            operator.user_permissions.clear()
        else:
            operator.is_staff = False
            operator.save()

    async def scenario():
        socket = await opened(client)
        await heard(socket, "snapshot")
        await on_rows(lose)()
        await socket.send_json_to({"type": "catch_up", "seen": {}})
        assert await closes_with(socket) == 4403
        await socket.disconnect()

    talk(scenario)


def test_a_page_that_has_seen_nothing_gets_a_snapshot(operator, new_order):
    order = new_order()

    async def scenario():
        socket = await opened(signed, seen=None)
        snapshot = (await heard(socket, "snapshot"))[-1]
        assert [row["id"] for row in snapshot["rows"]] == [f"order-{order.pk}"]
        assert snapshot["seq"] == {str(order.account_id): order.live_seq}
        await socket.disconnect()

    signed = signed_in(operator)
    talk(scenario)


def test_only_what_changed_since_is_sent(operator, new_order):
    quiet, changed = new_order(), new_order()
    seen = {quiet.account_id: changed.live_seq}
    happens(changed, Event.WITHDRAW)
    signed = signed_in(operator)

    async def scenario():
        socket = await opened(signed, seen=seen)
        (row,) = await heard(socket, "row")
        assert (row["id"], row["seq"]) == (f"order-{changed.pk}", 3)
        assert 'data-status="CANCELLED"' in row["html"]
        assert row["after"] == 2
        await socket.disconnect()

    talk(scenario)


def test_a_change_is_announced_within_a_moment(operator, new_order):
    order = new_order()
    signed = signed_in(operator)

    async def scenario():
        socket = await opened(signed, seen={order.account_id: order.live_seq})
        await heard(socket, "pulse")
        begun = asyncio.get_running_loop().time()
        await on_rows(happens)(order, Event.WITHDRAW)
        (row,) = await heard(socket, "row")
        assert asyncio.get_running_loop().time() - begun < 1.0
        assert 'data-status="CANCELLED"' in row["html"]
        await socket.disconnect()

    talk(scenario)


def test_without_the_layer_the_pulse_brings_the_news(operator, new_order, settings):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:9/0"]},
        }
    }
    order = new_order()
    signed = signed_in(operator)

    async def scenario():
        socket = await opened(signed, seen={order.account_id: order.live_seq})
        await heard(socket, "pulse")
        await on_rows(happens)(order, Event.WITHDRAW)
        messages = await heard(socket, "pulse")
        assert [message["type"] for message in messages] == ["row", "pulse"]
        assert messages[-1]["seq"] == {str(order.account_id): 2}
        await socket.disconnect()

    talk(scenario)


def test_a_lost_announcement_is_healed_by_the_pulse(operator, new_order, monkeypatch):
    order = new_order()
    signed = signed_in(operator)
    monkeypatch.setattr("apps.orders.announce.changed", lambda *_: None)

    async def scenario():
        socket = await opened(signed, seen={order.account_id: order.live_seq})
        await heard(socket, "pulse")
        await on_rows(happens)(order, Event.WITHDRAW)
        assert [m["type"] for m in await heard(socket, "pulse")] == ["row", "pulse"]
        await socket.disconnect()

    talk(scenario)


def test_many_changes_in_a_moment_come_in_one_batch(operator, new_order):
    order, other = new_order(), new_order()
    signed = signed_in(operator)

    async def scenario():
        socket = await opened(signed, seen={order.account_id: other.live_seq})
        await heard(socket, "pulse")
        await on_rows(working)(order)
        await on_rows(happens)(other, Event.WITHDRAW)
        page = Page("", {order.account_id: 2})
        rows = [m for m in await heard(socket, "pulse") if m["type"] == "row"]
        assert not any(page.take(row) for row in rows)
        assert page.seen == {order.account_id: 6}
        assert len(rows) <= 4
        await socket.disconnect()

    talk(scenario)


def test_doubles_and_older_rows_change_nothing(operator, new_order):
    order = new_order()
    old = feeding.news(Filters(), {order.account_id: 0}, ALL).messages
    happens(order, Event.WITHDRAW)
    new = feeding.news(Filters(), {order.account_id: 1}, ALL).messages
    page = Page("", {})
    assert [page.take(message) for message in old + new] == [False, False]
    before = page.drawn()
    assert not any(page.take(message) for message in new + old)
    assert page.drawn() == before


def test_a_gap_is_noticed(new_order):
    order = new_order()
    happens(order, Event.WITHDRAW)
    (row,) = feeding.news(Filters(), {order.account_id: 1}, ALL).messages
    assert Page("", {order.account_id: 0}).take(row)
    assert not Page("", {order.account_id: 1}).take(row)


def test_numbers_without_a_row_are_passed_on(new_order, account):
    order = new_order()
    DeskSequence.objects.filter(account=account).update(value=5)
    batch = feeding.news(Filters(), {account.pk: order.live_seq}, ALL)
    assert batch.messages == [{"type": "upto", "seq": {account.pk: 5}}]
    assert feeding.news(Filters(), batch.seen, ALL).messages == []


def test_a_page_from_the_future_is_read_anew(new_order):
    order = new_order()
    assert feeding.news(Filters(), {order.account_id: 99}, ALL) is None


def test_too_much_news_is_a_snapshot(new_order, account, monkeypatch):
    monkeypatch.setattr("apps.desk.blotter.LIMIT", 3)
    for _ in range(4):
        new_order()
    assert feeding.news(Filters(), {account.pk: 0}, ALL) is None
    assert len(feeding.snapshot(Filters(), ALL)["rows"]) == 3


@pytest.mark.parametrize(
    "nonsense",
    [[], "hello", {"type": "launch"}, {"type": "order.changed"}, {"no": "type"}],
)
def test_nonsense_is_ignored(operator, account, nonsense):
    signed = signed_in(operator)

    async def scenario():
        socket = await opened(signed)
        await heard(socket, "snapshot")
        await socket.send_json_to(nonsense)
        await heard(socket, "pulse")
        await socket.disconnect()

    talk(scenario)


@pytest.mark.parametrize("seen", [{"x": 1}, {"1": None}, [1], "1"])
def test_seen_that_cannot_be_read_is_a_snapshot(operator, account, seen):
    signed = signed_in(operator)

    async def scenario():
        socket = await opened(signed, seen=seen)
        await heard(socket, "snapshot")
        await socket.disconnect()

    talk(scenario)


def test_the_pulse_says_what_is_halted(operator, account):
    signed = signed_in(operator)
    switch.halt("paper-one", "limits look wrong", "olivia")

    async def scenario():
        socket = await opened(signed)
        assert "paper-one is HALTED" in (await heard(socket, "pulse"))[-1]["banner"]
        await socket.disconnect()

    talk(scenario)


def seen_of(page):
    told = json.loads(html.unescape(page.split('data-seen="')[1].split('"')[0]))
    return {int(account): seq for account, seq in told.items()}


def test_rows_are_drawn_anew_when_the_persons_rights_changed(operator, new_order):
    order = working(new_order())
    signed = signed_in(operator)
    cancel = Permission.objects.get(codename="cancel_order")

    async def scenario():
        socket = await opened(signed, seen={order.account_id: order.live_seq})
        await heard(socket, "pulse")
        await on_rows(operator.user_permissions.remove)(cancel)
        await socket.send_json_to({"type": "catch_up", "seen": {order.account_id: order.live_seq}})
        (row,) = (await heard(socket, "snapshot"))[-1]["rows"]
        assert 'data-act="modify"' in row["html"]
        assert 'data-act="cancel"' not in row["html"]
        await heard(socket, "pulse")
        assert [m["type"] for m in await heard(socket, "pulse")] == ["pulse"]
        await socket.disconnect()

    talk(scenario)


FILTERS = [
    {},
    {"group": "working"},
    {"group": "unknown"},
    {"source": "ADMIN", "strategy": "late <b>comer</b>"},
    {"source": "SIGNAL"},
]


@pytest.mark.parametrize("filters", FILTERS)
def test_old_page_and_events_equal_a_fresh_page(operator, new_order, filters):
    """The one test that a live page must pass."""
    signed = signed_in(operator)
    orders = [new_order(quantity=10 + n) for n in range(6)]
    old = signed.get("/admin/live/", filters).content.decode()
    page = Page(old, seen_of(old))

    def a_lot_happens():
        working(orders[0], "1")
        happens(orders[0], Event.PARTIAL, filled_quantity=4)
        unknown(orders[1])
        happens(orders[2], Event.WITHDRAW, text="not wanted")
        working(orders[3], "3")
        happens(orders[3], Event.WANT_CANCEL, text="away")
        happens(orders[3], Event.CANCEL)
        new_order(strategy="late <b>comer</b>")
        happens(orders[1], Event.FILL, filled_quantity=11, broker_order_id="9")

    async def scenario():
        socket = await opened(signed, seen=page.seen, filters=filters)
        await on_rows(a_lot_happens)()
        for _ in range(2):
            for message in await heard(socket, "pulse"):
                assert not page.take(message)
        await socket.disconnect()

    talk(scenario)
    fresh = signed.get("/admin/live/", filters).content.decode()
    assert page.drawn() == units_in(fresh)
    assert page.seen == seen_of(fresh)


def test_a_reconnecting_page_catches_up(operator, new_order):
    signed = signed_in(operator)
    order = new_order()
    old = signed.get("/admin/live/").content.decode()
    page = Page(old, seen_of(old))
    working(order)
    new_order()

    async def scenario():
        socket = await opened(signed, seen=page.seen)
        for message in await heard(socket, "pulse"):
            assert not page.take(message)
        await socket.disconnect()

    talk(scenario)
    assert page.drawn() == units_in(signed.get("/admin/live/").content.decode())
