"""What a person may see and do on the desk's live pages. Every view asks again by itself."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser, User


@dataclass(frozen=True)
class Rights:
    """One person's rights at one moment; nobody's by default. A row is drawn by them."""

    may_view: bool = False
    may_cancel: bool = False
    may_modify: bool = False
    may_place: bool = False
    may_halt: bool = False


def of(user: User | AnonymousUser) -> Rights:
    """By the permissions that the views ask for, so that no button leads to a refusal."""
    may = user.has_perm
    if not may("orders.view_order"):
        return Rights()
    return Rights(
        may_view=True,
        may_cancel=may("orders.cancel_order"),
        may_modify=may("orders.modify_order"),
        may_place=may("orders.place_order"),
        may_halt=may("risk.view_tradingstate") and may("risk.change_tradingstate"),
    )
