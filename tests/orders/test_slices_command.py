"""Slices from the command line."""

from __future__ import annotations

import json
import threading
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from apps.orders import dispatch, lifecycle, slices
from apps.orders.lifecycle import Happening
from apps.orders.models import Order, Slicing
from apps.orders.states import Event
from apps.orders.sweep import sweep
from apps.people import roles
from tests.people.conftest import member

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("quick_times", "no_bells"),
]


@pytest.fixture(autouse=True)
def frozen(reliance):
    reliance.freeze_quantity = 4
    reliance.save()


def run(*words: str, **options) -> str:
    out = StringIO()
    call_command(*words, stdout=out, **options)
    return out.getvalue()


def ask(*more: str) -> str:
    terms = ["--instrument", "RELIANCE", "--side", "BUY", "--price", "1400"]
    return run("place_order", "alpha", *terms, *more)


def test_place_order_tells_the_whole_and_its_slices(account):
    told = ask("--quantity", "10").splitlines()
    whole = Slicing.objects.get()
    assert told[0].startswith(f"{whole.public_id}  BUY 10 RELIANCE at 1400 on alpha in 3 orders")
    assert "1/3" in told[1]
    assert len(told) == 2


def test_waiting_waits_for_every_slice(account, exchange):
    def workers() -> None:
        try:
            while not Slicing.objects.exclude(status="PLACING").exists():
                for order in Order.objects.filter(status="APPROVED"):
                    dispatch.dispatch(order.pk)
                for whole in Slicing.objects.filter(status="PLACING"):
                    slices.advance(whole.pk)
            while Order.objects.filter(status="SUBMITTED").exists():
                from tests.orders.telling import settled

                settled(account)
        finally:
            connections.close_all()

    working = threading.Thread(target=workers)
    working.start()
    told = json.loads(ask("--quantity", "10", "--wait", "--json", "--timeout", "30"))
    working.join()
    assert told["status"] == "PLACED"
    assert [row["quantity"] for row in told["slices"]] == [4, 4, 2]
    assert {row["status"] for row in told["slices"]} == {"OPEN"}
    assert (told["at_work"], told["left"]) == (10, 0)


def test_refused_it_says_so_and_ends_with_one(account):
    with pytest.raises(CommandError, match="The order is REFUSED: nothing was placed") as caught:
        ask("--quantity", "90", "--product", "MTF", "--price", "140000")
    assert caught.value.returncode == 1


@pytest.fixture
def stopped(account) -> Slicing:
    ask("--quantity", "10")
    whole = Slicing.objects.get()
    order = whole.slices.get()
    lapsed = Happening(event=Event.LAPSE, origin="test", text="too late")
    lifecycle.apply(order.pk, lapsed)
    sweep(direct=True)
    whole.refresh_from_db()
    assert whole.status == "STOPPED"
    return whole


def test_shown_by_its_id_or_a_slices(stopped):
    by_id = run("slices", "show", stopped.public_id)
    assert by_id == run("slices", "show", stopped.slices.get().correlation_id)
    assert "left 10: slice 1 is lapsed" in by_id
    with pytest.raises(CommandError, match="no sliced order 'nothing'"):
        run("slices", "show", "nothing")


def test_resumed_and_dropped_in_somebodys_name_with_a_reason(stopped):
    member("tara", roles.TRADER)
    member("victor", roles.VIEWER)
    with pytest.raises(CommandError, match="say --as USERNAME and --reason"):
        run("slices", "resume", stopped.public_id)
    with pytest.raises(CommandError, match="may not do that"):
        run("slices", "resume", stopped.public_id, "--as", "victor", "--reason", "go")
    more = ["--as", "tara", "--reason", "go", "--stop", "1"]
    assert "is PLACING" in run("slices", "resume", stopped.public_id, *more)
    with pytest.raises(CommandError, match="Not done: the whole is placing, not stopped"):
        run("slices", "drop", stopped.public_id, *more)
    told = run("slices", "cancel", stopped.public_id, "--as", "tara", "--reason", "no")
    assert "is DROPPED" in told
    assert stopped.events.get(event="RESUME").actor.startswith("tara, by ")
