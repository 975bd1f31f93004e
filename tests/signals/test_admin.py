"""The pages of sources and signals: who sees them, what they show once, and what never changes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from apps.signals.acting import act
from apps.signals.models import Signal, SignalSource
from tests.desk.conftest import person

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{43}=")
LIST = "admin:signals_signalsource_changelist"
ADD = "admin:signals_signalsource_add"


def as_(*permissions: str, superuser: bool = False) -> Client:
    client = Client()
    client.force_login(person("olivia", *permissions, superuser=superuser))
    return client


@pytest.fixture
def owner() -> Client:
    return as_(superuser=True)


def form(account: Any, **different: str) -> dict[str, str]:
    return {
        "name": "momentum",
        "account": str(account.pk),
        "strategy": "momentum",
        "window": "300",
        "entry_lifetime": "60",
        "enabled": "on",
    } | different


def rotate_page(source: SignalSource) -> str:
    return reverse("admin:signals_signalsource_rotate", args=[source.pk])


def seen(client: Client, source: SignalSource) -> str:
    page = client.get(rotate_page(source)).content.decode()
    found = re.search(r'name="seen" value="([^"]+)"', page)
    assert found
    return found.group(1).replace("&#x27;", "'")


def shown_secret(answer: Any) -> str:
    assert answer.status_code == 200
    found = SECRET.findall(answer.content.decode().replace("&#x2B;", "+"))
    assert found
    return found[0]


def test_opening_a_source_shows_its_secret_exactly_once(owner, quiet_account):
    answer = owner.post(reverse(ADD), form(quiet_account))
    source = SignalSource.objects.get()
    assert shown_secret(answer) == source.secret
    assert source.path in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    change = reverse("admin:signals_signalsource_change", args=[source.pk])
    for page in (change, reverse(LIST), rotate_page(source), reverse("admin:index")):
        assert str(source.secret) not in owner.get(page).content.decode()
    assert source.path in owner.get(change).content.decode()


def test_a_bad_source_is_refused_by_field(owner, quiet_account, live_account):
    page = owner.post(reverse(ADD), form(live_account, test_mode="on")).content.decode()
    assert "cannot use a live account" in page
    assert not SECRET.search(page)
    page = owner.post(reverse(ADD), form(quiet_account, window="1")).content.decode()
    assert "greater than or equal to 5" in page
    assert not SignalSource.objects.exists()


def test_rotating_shows_the_new_secret_once_and_counts_once(owner, sender):
    source = sender.source
    data = {"overlap": "24", "seen": seen(owner, source)}
    answer = owner.post(rotate_page(source), data)
    source.refresh_from_db()
    assert shown_secret(answer) == source.secret != sender.secret
    assert source.previous_secret == sender.secret
    assert owner.post(rotate_page(source), data).status_code == 302
    again = SignalSource.objects.get()
    assert again.secret == source.secret
    assert "Secret rotated" in LogEntry.objects.latest("pk").change_message


def test_looking_at_the_rotation_changes_nothing(owner, sender):
    owner.get(rotate_page(sender.source))
    assert SignalSource.objects.get().secret == sender.secret
    for wrong in ({"overlap": "24", "seen": "now"}, {"overlap": "9999", "seen": "x"}, {}):
        assert owner.post(rotate_page(sender.source), wrong).status_code == 200
    assert SignalSource.objects.get().secret == sender.secret


def test_rotating_needs_its_own_permission_and_a_csrf_token(sender):
    client = as_("signals.view_signalsource", "signals.change_signalsource")
    assert client.get(rotate_page(sender.source)).status_code == 403
    assert client.post(rotate_page(sender.source), {"overlap": "1"}).status_code == 403
    assert Client().get(rotate_page(sender.source)).status_code == 302
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person("otto", superuser=True))
    assert strict.post(rotate_page(sender.source), {"overlap": "1"}).status_code == 403


def test_sources_are_turned_off_and_on_from_the_list(owner, sender):
    for action, enabled in (("disable", False), ("enable", True)):
        data = {"action": action, "_selected_action": [sender.source.pk]}
        assert owner.post(reverse(LIST), data).status_code == 302
        assert SignalSource.objects.get().enabled is enabled
        assert sender.send().status_code == (202 if enabled else 404)


def test_who_may_only_look_can_only_look(sender, quiet_account):
    client = as_("signals.view_signalsource")
    assert client.get(reverse(LIST)).status_code == 200
    assert client.get(reverse(ADD)).status_code == 403
    change = reverse("admin:signals_signalsource_change", args=[sender.source.pk])
    assert client.post(change, form(quiet_account)).status_code == 403
    data = {"action": "disable", "_selected_action": [sender.source.pk]}
    client.post(reverse(LIST), data)
    assert SignalSource.objects.get().enabled


def test_a_source_is_never_deleted_and_keeps_its_name(owner, sender, quiet_account):
    delete = reverse("admin:signals_signalsource_delete", args=[sender.source.pk])
    assert owner.post(delete, {"post": "yes"}).status_code == 403
    change = reverse("admin:signals_signalsource_change", args=[sender.source.pk])
    assert owner.post(change, form(quiet_account, name="other")).status_code == 302
    assert SignalSource.objects.get().name == "alpha-strategy"


@pytest.mark.usefixtures("quick_times")
def test_a_signal_is_shown_with_its_order_and_the_order_with_its_signal(owner, trading):
    signal = trading.heard(reason="<b>breakout</b>")
    act(signal.pk)
    signal.refresh_from_db()
    listed = owner.get(reverse("admin:signals_signal_changelist")).content.decode()
    assert signal.order.correlation_id in listed
    assert "BUY 1 NSE_EQ:RELIANCE LIMIT at 1400" in listed
    answer = owner.get(reverse("admin:signals_signal_change", args=[signal.pk]), follow=True)
    page = answer.content.decode()
    for text in ("As it came", signal.sender_id, "Fate", "Risk allows the order", "Wire call"):
        assert text in page, text
    assert "<b>breakout" not in page
    order = owner.get(f"/admin/live/order/{signal.order.pk}/").content.decode()
    assert order.index("alpha-strategy: BUY 1") < order.index("Asked for")
    assert "signal alpha-strategy" in order


def test_signals_are_filtered_and_searched(owner, sender, django_assert_max_num_queries):
    sender.heard(message_id="m-find-me")
    for _ in range(20):
        sender.heard(strategy="other")
    page = reverse("admin:signals_signal_changelist")
    for asked, found in (
        ({"q": "m-find-me"}, 1),
        ({"q": "m-find"}, 0),
        ({"q": "othe"}, 20),
        ({"fate__exact": "ACTED"}, 0),
        ({"fate__exact": "RECEIVED"}, 21),
    ):
        assert owner.get(page, asked).context["cl"].result_count == found
    with django_assert_max_num_queries(16):
        owner.get(page)


def test_signals_cannot_be_edited_by_anybody(owner, sender):
    signal = sender.heard()
    assert owner.get(reverse("admin:signals_signal_add")).status_code == 403
    delete = reverse("admin:signals_signal_delete", args=[signal.pk])
    assert owner.post(delete, {"post": "yes"}).status_code == 403
    owner.post(reverse("admin:signals_signal_change", args=[signal.pk]), {"fate": "ACTED"})
    assert Signal.objects.get().fate == "RECEIVED"


def test_a_stranger_sees_nothing_of_signals(sender):
    signal = sender.heard()
    stranger = as_("orders.view_order")
    for page in (
        reverse("admin:signals_signal_changelist"),
        reverse(LIST),
        reverse("desk:signal", args=[signal.pk]),
    ):
        assert stranger.get(page).status_code == 403
    assert "Sources" not in stranger.get(reverse("desk:live")).content.decode()
