"""``manage.py place_bracket``: what it says, and how it ends."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from apps.orders.models import Bracket, Order
from apps.risk.switch import halt

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(account, reliance, no_bells):
    """Run the command; what it printed."""

    def run(**different) -> str:
        said = io.StringIO()
        options = {
            "instrument": "RELIANCE",
            "side": "BUY",
            "quantity": "10",
            "price": "1400",
            "stop_price": "1390",
            "target_price": "1420",
        }
        call_command("place_bracket", account.name, **(options | different), stdout=said)
        return said.getvalue()

    return run


def test_it_shows_the_bracket_and_its_legs(place):
    told = json.loads(place(json=True))
    assert told["what"] == "BUY 10 RELIANCE at 1400, stop 1390, target 1420"
    assert (told["style"], told["status"]) == ("SUPER", "ENTERING")
    assert [leg["leg"] for leg in told["legs"]] == ["ENTRY", "STOP_LOSS", "TARGET"]
    assert told["legs"][0]["correlation_id"] == Order.objects.get().correlation_id


def test_the_same_key_is_one_bracket(place):
    assert place(key="once") == place(key="once")
    assert (Bracket.objects.count(), Order.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    ("different", "says"),
    [
        ({"stop_price": "1400"}, "--stop-price must be below the entry, 1400"),
        ({"stop_price": "ten"}, "--stop-price 'ten' is not an amount"),
        ({"type": "STOP_LIMIT"}, "--type a bracket is entered with"),
        ({"instrument": "NOWHERE"}, "--instrument"),
    ],
    ids=["wrong side", "no amount", "wrong type", "no instrument"],
)
def test_what_is_wrong_is_said_with_its_option(place, different, says):
    with pytest.raises(CommandError, match=says):
        place(**different)
    assert not Bracket.objects.exists()


def test_a_denied_entry_ends_with_code_1(place, account):
    halt(account.name, "test", "test")
    with pytest.raises(CommandError, match="not entered") as refused:
        place()
    assert refused.value.returncode == 1
