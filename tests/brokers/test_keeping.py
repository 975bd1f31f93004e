"""Who keeps an account's brackets: the broker where it can, unless a person says otherwise."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from apps.brokers.keeping import kinds
from apps.brokers.models import Instrument
from apps.brokers.port import BracketKind

LIVE = "https://api.dhan.co/v2"


@pytest.fixture
def share() -> Instrument:
    return Instrument(
        segment="NSE_EQ", security_id="2885", symbol="RELIANCE", tick_size=Decimal("0.05")
    )


def test_the_broker_keeps_super_orders(at: Any, share: Instrument) -> None:
    assert kinds(at("http://127.0.0.1:9/v2"), share) == (BracketKind.SUPER,)
    assert kinds(at(LIVE, feed_url="wss://api-order-update.dhan.co"), share) == (BracketKind.SUPER,)


def test_a_super_order_needs_a_target(at: Any, share: Instrument) -> None:
    assert kinds(at(LIVE), share, target=False) == ()


@pytest.mark.parametrize(
    ("flags", "with_a_target", "without"),
    [
        ({}, (BracketKind.SUPER,), ()),
        (
            {"bracket_orders": True},
            (BracketKind.SUPER, BracketKind.NATIVE),
            (),
        ),
        ({"cover_orders": True}, (BracketKind.SUPER,), (BracketKind.NATIVE,)),
        (
            {"bracket_orders": True, "cover_orders": True},
            (BracketKind.SUPER, BracketKind.NATIVE),
            (BracketKind.NATIVE,),
        ),
    ],
)
def test_a_product_of_the_broker_where_its_file_allows_it(
    flags: dict[str, bool],
    with_a_target: tuple[BracketKind, ...],
    without: tuple[BracketKind, ...],
    at: Any,
    share: Instrument,
) -> None:
    for name, value in flags.items():
        setattr(share, name, value)
    account = at(LIVE)
    assert kinds(account, share, target=True) == with_a_target
    assert kinds(account, share, target=False) == without


def test_its_sandbox_keeps_none(at: Any, share: Instrument) -> None:
    share.bracket_orders = True
    assert kinds(at("https://sandbox.dhan.co/v2"), share) == ()


def test_a_person_leaves_all_to_the_desk(at: Any, share: Instrument) -> None:
    share.bracket_orders = True
    assert kinds(at(LIVE, bracket_style="MANAGED"), share) == ()
