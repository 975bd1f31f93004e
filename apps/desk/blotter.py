"""The order blotter: which rows a page shows, and what changed since it was read.

A change number belongs to an account and counts committed changes. Numbers and rows are read as
they are at one moment, so a page never claims to have seen more than it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from django.db import connection, transaction
from django.db.models import (
    BooleanField,
    Case,
    CharField,
    Exists,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.functions import Cast

from apps.brokers.models import BrokerAccount, Instrument
from apps.desk import units
from apps.desk.units import Unit
from apps.orders.models import (
    PREFIX,
    Bracket,
    BracketLeg,
    BracketStatus,
    DeskSequence,
    LegStatus,
    Order,
    Slicing,
    Source,
    trading_day,
)
from apps.orders.states import TERMINAL, Status
from apps.people.typed import row_number

LIMIT = 200  # orders
BRACKETS = 100
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
# What a leg without an order must be, by group.
BARE: dict[str, Q] = {
    "unknown": Q(status=LegStatus.UNKNOWN),
    "filled": Q(status=LegStatus.FILLED),
    "ended": Q(status__in=[LegStatus.CANCELLED, LegStatus.EXPIRED]),
    "refused": Q(status=LegStatus.REJECTED),
}
OVER = Q(status__in=[BracketStatus.OVER, BracketStatus.IMPORTED])  # as the partial index has it
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
        wanted = GROUPS[self.group][1] & self._whose()
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

    def _whose(self) -> Q:
        """What orders and brackets both say of themselves."""
        asked = {"account": self.account, "source": self.source, "strategy": self.strategy}
        return Q(**{name: value for name, value in asked.items() if value})

    def of_brackets(self) -> Q:
        """The same on brackets: one order that the page shows of it matches, or a bare leg."""
        if not self.chosen:
            return Q()
        orders = Order.objects.of_brackets([Cast(OuterRef("pk"), CharField())])
        current = Q(Exists(BracketLeg.objects.filter(order=OuterRef("pk"))))
        extra = Q(request_key__contains=":OUT:") | Q(request_key__contains=":BACK:")
        orders = orders.filter(self.condition()).filter(current | extra | ALIVE)
        return Q(Exists(orders)) | self._of_bare_legs()

    def _of_bare_legs(self) -> Q:
        wanted = self._whose()
        if self.group == "working":
            wanted &= ~OVER
        elif self.group in BARE:
            bare = BracketLeg.objects.filter(bracket=OuterRef("pk"), order=None)
            wanted &= Q(Exists(bare.filter(BARE[self.group])))
        if self.text:
            named = Instrument.every.filter(symbol__icontains=self.text).values("pk")
            legs = BracketLeg.objects.filter(bracket=OuterRef("pk"))
            wanted &= (
                Q(instrument__in=named)
                | Q(strategy__icontains=self.text)
                | Q(Exists(legs.filter(leg_order_id__istartswith=self.text)))
            )
        return wanted


@dataclass(frozen=True)
class Sheet:
    """What a page shows, the change numbers it is as new as, and of what there is more below."""

    units: list[Unit]
    seen: Seen
    full: dict[str, bool]


@dataclass(frozen=True)
class Changes:
    """Units changed since, oldest change first, with whether the page shows them."""

    units: list[tuple[Unit, bool]]
    seen: Seen


@contextmanager
def one_moment() -> Iterator[None]:
    """Everything that is read within is as it was at one moment."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


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
    """A whole page: what is unknown first, then the newest."""
    with one_moment():
        seen = numbers()
        wanted = _orders().filter(filters.condition()).exclude(request_key__startswith=PREFIX)
        unknown = list(wanted.filter(ALIVE, status=Status.UNKNOWN).order_by("-pk")[:LIMIT])
        others = list(wanted.exclude(status=Status.UNKNOWN).order_by("-pk")[:LIMIT])
        doubtful = _doubtful_brackets()
        brackets = _brackets().filter(filters.of_brackets(), origin=None).order_by("-pk")
        pinned = list(brackets.filter(pk__in=doubtful)[:BRACKETS])
        calm = list(brackets.exclude(pk__in=doubtful)[:BRACKETS])
        found = [*units.of_orders(unknown + others), *units.of_brackets(pinned + calm)]
    full = {"order": len(others) == LIMIT, "bracket": len(calm) == BRACKETS}
    return Sheet(sorted(found, key=lambda unit: unit.place, reverse=True), seen, full)


def changes(filters: Filters, seen: Seen) -> Changes | None:
    """What changed since ``seen``; None when a page had better be read anew."""
    now = numbers()
    if not _behind(seen, now):
        return Changes([], now)
    with one_moment():
        now = numbers()
        behind = _behind(seen, now)
        if any(was > now[account] for account, was in behind.items()):
            return None
        since = Q(pk__in=[])
        for account, was in behind.items():
            since |= Q(account=account, live_seq__gt=was)
        found = _changed(filters, since)
    if found is None:
        return None
    return Changes(sorted(found, key=lambda changed: changed[0].seq), now)


def _behind(seen: Seen, now: Seen) -> Seen:
    """What was seen of the accounts that are further, or elsewhere, by now."""
    return {account: seen.get(account, 0) for account in now if now[account] != seen.get(account)}


def _changed(filters: Filters, since: Q) -> list[tuple[Unit, bool]] | None:
    """Units of which an order, or the bracket itself, changed; None when they are too many."""
    # By their numbers: by another column the index of the numbers would not be used.
    moved = _orders().filter(since).annotate(shown=_either(filters.condition()))
    orders = list(moved.order_by("live_seq")[: LIMIT + 1])
    theirs = {order.bracket_number for order in orders} - {None}
    changed = _brackets().filter(since | Q(pk__in=theirs)).filter(origin=None)
    changed = changed.annotate(shown=_either(filters.of_brackets())).order_by("live_seq")
    brackets = list(changed[: LIMIT + 1])
    if max(len(orders), len(brackets)) > LIMIT:
        return None
    alone = [order for order in orders if order.bracket_number is None]
    shown = [bool(order.shown) for order in alone] + [bool(one.shown) for one in brackets]
    found = [*units.of_orders(alone), *units.of_brackets(brackets)]
    return list(zip(found, shown, strict=True))


def _either(condition: Q) -> Case:
    """The condition as a column."""
    when = When(Q(pk__gt=0) & condition, then=Value(True))
    return Case(when, default=Value(False), output_field=BooleanField())


def _doubtful_brackets() -> set[int]:
    """Brackets of which something is unknown."""
    orders = Order.objects.of_brackets().filter(ALIVE, status=Status.UNKNOWN).only("request_key")
    legs = BracketLeg.objects.filter(order=None, status=LegStatus.UNKNOWN)
    numbers = {order.bracket_number or 0 for order in orders}
    return numbers | set(legs.values_list("bracket_id", flat=True))


def _orders() -> QuerySet[Order]:
    return Order.objects.select_related("account", "instrument")


def _brackets() -> QuerySet[Bracket]:
    return Bracket.objects.select_related("account", "instrument")
