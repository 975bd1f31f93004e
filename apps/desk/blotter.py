"""The order blotter: which rows a page shows, and what changed since it was read.

A change number belongs to an account and counts committed changes. The numbers are read before
the rows, so a page never claims to have seen more than it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from django.db.models import BooleanField, Case, Q, QuerySet, Value, When

from apps.brokers.models import BrokerAccount, Instrument
from apps.orders.models import DeskSequence, Order, Slicing, Source, trading_day
from apps.orders.states import TERMINAL, Status
from apps.people.typed import row_number

LIMIT = 200
ALIVE = ~Q(status__in=sorted(TERMINAL))  # as the partial index has it
GROUPS: dict[str, tuple[str, Q]] = {
    "all": ("All orders", Q()),
    "working": ("Working", ALIVE),
    "unknown": ("Unknown", Q(status=Status.UNKNOWN)),
    "filled": ("Filled", Q(status=Status.FILLED)),
    "ended": ("Cancelled or expired", Q(status__in=[Status.CANCELLED, Status.EXPIRED])),
    "refused": (
        "Refused or lost",
        Q(
            status__in=[
                Status.DENIED,
                Status.REJECTED,
                Status.LAPSED,
                Status.NEVER_ARRIVED,
            ]
        ),
    ),
}
Seen = dict[int, int]  # account → change number


@dataclass(frozen=True)
class Filters:
    """What of the blotter one page shows."""

    account: int | None = None
    group: str = "all"
    source: str = ""
    strategy: str = ""
    text: str = ""

    @classmethod
    def parse(cls, asked: Mapping[str, object]) -> Filters:
        """Filters from an address or a message; what makes no sense is left out."""
        said = {name: str(asked.get(name) or "").strip()[:80] for name in cls.__annotations__}
        account = said["account"]
        return cls(
            account=row_number(account),
            group=said["group"] if said["group"] in GROUPS else "all",
            source=said["source"] if said["source"] in Source else "",
            strategy=said["strategy"],
            text=said["text"],
        )

    @property
    def chosen(self) -> bool:
        """True when something is left out."""
        return self != Filters()

    def as_json(self) -> dict[str, object]:
        """For the page, which hands it back over the socket."""
        return asdict(self)

    def condition(self) -> Q:
        """The filters as one condition on orders."""
        wanted = GROUPS[self.group][1]
        if self.account is not None:
            wanted &= Q(account=self.account)
        if self.source:
            wanted &= Q(source=self.source)
        if self.strategy:
            wanted &= Q(strategy=self.strategy)
        if self.text:
            named = Instrument.every.filter(symbol__icontains=self.text).values("pk")
            wholes = Slicing.objects.filter(public_id__istartswith=self.text).values("pk")
            wanted &= (
                Q(instrument__in=named)
                | Q(strategy__icontains=self.text)
                | Q(correlation_id__istartswith=self.text)
                | Q(broker_order_id__istartswith=self.text)
                | Q(parent__in=wholes)
            )
        return wanted


@dataclass(frozen=True)
class Sheet:
    """The rows of a page, and the change numbers that they are at least as new as."""

    orders: list[Order]
    seen: Seen
    full: bool


@dataclass(frozen=True)
class Changes:
    """Orders changed since, oldest change first, with whether the page shows them."""

    orders: list[tuple[Order, bool]]
    seen: Seen


def strategies(filters: Filters) -> list[str]:
    """Names to choose from: those of today's orders, and the one that is chosen."""
    accounts = BrokerAccount.objects.values("pk")  # leads to the index of a day
    today = Order.objects.filter(account__in=accounts, trading_day=trading_day())
    names = today.order_by().values_list("strategy", flat=True).distinct()[:LIMIT]
    return sorted({*names, filters.strategy} - {""})


def numbers() -> Seen:
    """The change number of every account."""
    return dict(DeskSequence.objects.values_list("account_id", "value"))


def read(filters: Filters) -> Sheet:
    """A whole page: unknown orders first, then the newest."""
    seen = numbers()
    wanted = _orders().filter(filters.condition())
    unknown = list(wanted.filter(ALIVE, status=Status.UNKNOWN).order_by("-pk")[:LIMIT])
    others = list(wanted.exclude(status=Status.UNKNOWN).order_by("-pk")[:LIMIT])
    return Sheet(unknown + others, seen, full=len(others) == LIMIT)


def changes(filters: Filters, seen: Seen) -> Changes | None:
    """What changed since ``seen``; None when a page had better be read anew."""
    now = numbers()
    behind = {account: seen.get(account, 0) for account in now if now[account] != seen.get(account)}
    if any(was > now[account] for account, was in behind.items()):
        return None
    if not behind:
        return Changes([], now)
    condition = Q(pk__in=[])
    for account, was in behind.items():
        condition |= Q(account=account, live_seq__gt=was)
    shown = Case(
        When(Q(pk__gt=0) & filters.condition(), then=Value(True)),
        default=Value(False),
        output_field=BooleanField(),
    )
    orders = list(
        _orders().filter(condition).annotate(shown=shown).order_by("live_seq")[: LIMIT + 1]
    )
    if len(orders) > LIMIT:
        return None
    for order in orders:
        now[order.account_id] = max(now[order.account_id], order.live_seq)
    return Changes([(order, bool(order.shown)) for order in orders], now)


def _orders() -> QuerySet[Order]:
    return Order.objects.select_related("account", "instrument")
