"""The sidebar: what a person may open, the desk first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

from apps.alerts.models import Alert
from apps.desk import switches
from apps.orders.models import Break
from apps.risk import approvals

# Section → (title, icon, address, permission)
_SECTIONS: list[tuple[str, list[tuple[str, str, str, str]]]] = [
    (
        "Desk",
        [
            ("Start", "home", "desk:front", "orders.view_order"),
            ("Live desk", "monitoring", "desk:live", "orders.view_order"),
            ("Place order", "add_shopping_cart", "desk:place", "orders.place_order"),
            ("Positions", "stacked_bar_chart", "desk:positions", "orders.view_ledgerposition"),
            ("Closings", "logout", "desk:closings", "risk.view_exitgoal"),
            ("Breaks", "rule", "desk:breaks", "orders.view_break"),
            ("Days", "today", "desk:days", "orders.view_dayreport"),
            ("All orders", "list_alt", "admin:orders_order_changelist", "orders.view_order"),
            (
                "Sliced orders",
                "call_split",
                "admin:orders_slicing_changelist",
                "orders.view_slicing",
            ),
            (
                "Brackets",
                "account_tree",
                "admin:orders_bracket_changelist",
                "orders.view_bracket",
            ),
            ("Fills", "done_all", "admin:orders_fill_changelist", "orders.view_fill"),
            (
                "Unattributed news",
                "help",
                "admin:orders_unattributed_changelist",
                "orders.view_unattributed",
            ),
            (
                "Imports of other systems",
                "history",
                "admin:orders_legacyimport_changelist",
                "orders.view_legacyimport",
            ),
        ],
    ),
    (
        "Watch",
        [
            (
                "Alerts",
                "notifications",
                "admin:alerts_alert_changelist",
                "alerts.view_alert",
            ),
            ("Ready to trade", "fact_check", "desk:ready", "brokers.view_brokeraccount"),
            ("Health", "monitor_heart", "desk:health", "alerts.view_heartbeat"),
            ("Quotes", "price_change", "admin:brokers_quote_changelist", "brokers.view_quote"),
        ],
    ),
    (
        "Channels",
        [
            ("Channels", "campaign", "admin:alerts_channel_changelist", "alerts.view_channel"),
            (
                "Escalation",
                "stairs",
                "admin:alerts_escalationstep_changelist",
                "alerts.view_escalationstep",
            ),
            ("Deliveries", "send", "admin:alerts_delivery_changelist", "alerts.view_delivery"),
            (
                "Telegram users",
                "contacts",
                "admin:chat_telegramuser_changelist",
                "chat.view_telegramuser",
            ),
            (
                "Telegram commands",
                "chat",
                "admin:chat_telegramcommand_changelist",
                "chat.view_telegramcommand",
            ),
        ],
    ),
    (
        "Signals",
        [
            ("Signals", "sensors", "admin:signals_signal_changelist", "signals.view_signal"),
            (
                "Sources",
                "webhook",
                "admin:signals_signalsource_changelist",
                "signals.view_signalsource",
            ),
        ],
    ),
    (
        "Risk",
        [
            ("Kill switch", "dangerous", "desk:kill", "risk.view_killrun"),
            ("Switches", "power_settings_new", "desk:switches", "risk.view_tradingstate"),
            ("Approvals", "how_to_reg", "desk:approvals", "risk.view_approval"),
            ("Policies", "policy", "admin:risk_riskpolicy_changelist", "risk.view_riskpolicy"),
            ("Decisions", "gavel", "admin:risk_decision_changelist", "risk.view_decision"),
            ("Holds", "lock", "admin:risk_hold_changelist", "risk.view_hold"),
        ],
    ),
    (
        "Brokers",
        [
            (
                "Accounts",
                "account_balance",
                "admin:brokers_brokeraccount_changelist",
                "brokers.view_brokeraccount",
            ),
            (
                "Instruments",
                "category",
                "admin:brokers_instrument_changelist",
                "brokers.view_instrument",
            ),
            (
                "Imports",
                "download",
                "admin:brokers_instrumentimport_changelist",
                "brokers.view_instrumentimport",
            ),
            (
                "Margins",
                "savings",
                "admin:brokers_marginestimate_changelist",
                "brokers.view_marginestimate",
            ),
            ("Wire calls", "cable", "admin:brokers_wirecall_changelist", "brokers.view_wirecall"),
        ],
    ),
    (
        "Calendar",
        [
            ("Calendar", "calendar_month", "desk:calendar", "brokers.view_holiday"),
            ("Holidays", "event_busy", "admin:brokers_holiday_changelist", "brokers.view_holiday"),
            (
                "Session rules",
                "schedule",
                "admin:brokers_sessionrule_changelist",
                "brokers.view_sessionrule",
            ),
            (
                "Calendar history",
                "edit_calendar",
                "admin:brokers_calendarchange_changelist",
                "brokers.view_calendarchange",
            ),
        ],
    ),
    (
        "People",
        [
            ("Users", "person", "admin:auth_user_changelist", "auth.view_user"),
            ("Roles", "group", "admin:auth_group_changelist", "auth.view_group"),
            (
                "Changes",
                "manage_history",
                "admin:people_personchange_changelist",
                "people.view_personchange",
            ),
            ("Sign-ins", "login", "admin:axes_accesslog_changelist", "axes.view_accesslog"),
            (
                "Wrong passwords",
                "lock_person",
                "admin:axes_accessattempt_changelist",
                "axes.view_accessattempt",
            ),
        ],
    ),
]
_COUNTS: dict[str, Callable[[], int]] = {
    "Alerts": lambda: Alert.objects.filter(acknowledged_at=None).count(),
    "Approvals": lambda: approvals.waiting().count(),
    "Breaks": lambda: Break.objects.filter(resolution="").count(),
}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The sections with what this person may open."""
    sections: list[dict[str, Any]] = []
    for title, entries in _SECTIONS:
        items = [_item(*entry) for entry in entries if request.user.has_perm(entry[3])]
        if items:
            sections.append({"title": title, "items": items, "separator": bool(sections)})
    return sections


def _item(title: str, icon: str, address: str, _permission: str) -> dict[str, Any]:
    item: dict[str, Any] = {"title": title, "icon": icon, "link": reverse(address)}
    if title in _COUNTS and (count := _COUNTS[title]()):
        item["badge"] = count
    return item


def surroundings(request: HttpRequest) -> dict[str, Any]:
    """What every admin page shows besides its own: what is halted."""
    return {"halted": switches.closed() if request.user.is_staff else []}


def style(request: HttpRequest) -> str:
    """The desk's style sheet."""
    return static("desk/desk.css")


def favicon(request: HttpRequest) -> str:
    """The desk's mark in the browser's tab."""
    return static("desk/favicon.svg")
