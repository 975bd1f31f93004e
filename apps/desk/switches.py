"""What is halted now, for the banner on every page."""

from __future__ import annotations

from django.template.loader import render_to_string

from apps.risk.models import DESK, SwitchState, TradingState


def in_order() -> list[TradingState]:
    """Every switch, the desk's first."""
    return sorted(TradingState.objects.select_related("account"), key=_place)


def closed() -> list[TradingState]:
    """Switches that stop entries, the desk's first."""
    return sorted(TradingState.objects.exclude(switch=SwitchState.ACTIVE), key=_place)


def banner_html() -> str:
    """The banner; empty while everything trades."""
    return render_to_string("desk/banner.html", {"halted": closed()}).strip()


def _place(state: TradingState) -> tuple[bool, str]:
    return state.scope != DESK, state.scope
