"""Exits beside orders of other owners: within one's own part, and not held up by others' shorts."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

import pytest

from apps.alerts.models import Alert
from apps.brokers.journal import moment
from apps.brokers.models import PositionsReport
from apps.brokers.port import Intent, Product, Side
from apps.orders import goals, services
from apps.orders.flatten import BY_OTHERS
from apps.orders.ingest import FEED, apply_report
from apps.orders.models import Order
from apps.risk import book, footing
from apps.risk.models import ExitGoal, Hold, OwnedPosition
from tests.orders.closing import ask, held, one_pass, passes_until, reached
from tests.orders.telling import FILLED, OnTheSide, report, sent, settled
from tests.orders.test_flatten import exits
from tests.orders.test_killing import gone_through, kill

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
OURS, THEIRS = "breakout", "momentum"


@pytest.fixture(autouse=True)
def quick_closing(settings):
    settings.FLATTEN_REPRICE_AFTER = 0.4
    settings.FLATTEN_LOUD_AFTER = 0.3
    settings.FLATTEN_RETRY_MOST = 0.5


@pytest.fixture
def fill(exchange, account):
    def fill(order: Order, quantity: int | None = None) -> None:
        much = {} if quantity is None else {"quantity": quantity}
        exchange.control("fill", orderId=order.broker_order_id, **much)
        settled(account)

    return fill


@pytest.fixture
def bought(working, exchange, fill):
    exchange.control("price", segment="NSE_EQ", securityId="2885", price=1400)

    def buy(quantity: int = 10, strategy: str = OURS) -> None:
        fill(working(quantity=quantity, price=Decimal(1350), strategy=strategy))

    return buy


@pytest.fixture
def short(working):
    """An entry that sells, at work at the exchange."""

    def short(quantity: int = 10, strategy: str = THEIRS) -> Order:
        return working(side=Side.SELL, quantity=quantity, price=Decimal(1450), strategy=strategy)

    return short


@pytest.fixture
def leave(place):
    def leave(quantity: int = 10, strategy: str = OURS) -> Order:
        return place(
            side=Side.SELL,
            quantity=quantity,
            price=Decimal(1400),
            strategy=strategy,
            intent=Intent.EXIT,
        )

    return leave


@pytest.fixture
def by_hand(exchange, account):
    def trade(side: str, quantity: int, **different) -> str:
        wanted = {"orderType": "MARKET", "fill": True} | different
        answer = exchange.control(
            "hand", client_id=account.client_id, transactionType=side, exchangeSegment="NSE_EQ",
            securityId="2885", productType="INTRADAY", quantity=quantity, **wanted,
        )  # fmt: skip
        settled(account)
        return answer["orderId"]

    return trade


def parts() -> dict[str, int]:
    return dict(OwnedPosition.objects.values_list("owner", "net"))


def test_a_short_of_another_strategy_that_rests_keeps_nobody_from_leaving(bought, short, leave):
    bought()
    short()
    assert leave().status == "APPROVED"
    assert leave(1).status == "DENIED"  # its exits count as ever


def test_an_entry_of_ones_own_counts(bought, short, leave):
    bought()
    short(4, OURS)
    assert leave(7).status == "DENIED"
    assert leave(6).status == "APPROVED"


def test_a_person_has_no_part_of_their_own_and_waits_for_every_order(bought, short, leave):
    bought()
    short(4)
    assert leave(7, "").status == "DENIED"
    assert leave(6, "").status == "APPROVED"


def test_an_entry_of_a_person_or_a_stranger_counts(bought, short, leave, by_hand):
    bought()
    short(2, "")
    by_hand("SELL", 3, orderType="LIMIT", price=1450, fill=False)
    assert leave(6).status == "DENIED"
    assert leave(5).status == "APPROVED"


def test_an_entry_counts_until_the_exchange_shows_it(bought, place, leave, exchange):
    bought()
    wanted = {"side": Side.SELL, "quantity": 10, "price": Decimal(1450), "strategy": THEIRS}
    approved = place(**wanted)
    assert leave(1).status == "DENIED"
    exchange.fault("drop_after_accept", "place", times=1)
    for endpoint in ("book", "by_correlation"):
        exchange.fault("http_500", endpoint)
    assert sent(approved).status == "UNKNOWN"
    assert leave(1).status == "DENIED"


def test_what_the_other_one_holds_itself_is_its_to_sell(bought, short, leave, by_hand):
    """Ten of the twenty were sold by hand: the ten that are left may be the other one's."""
    bought()
    bought(strategy=THEIRS)
    by_hand("SELL", 10)
    entry = short()
    assert leave(1).status == "DENIED"
    bought(1, strategy="third")
    assert leave(2).status == "DENIED"
    assert leave(1).status == "APPROVED"
    assert entry.status == "OPEN"


def test_what_a_short_has_filled_counts(bought, short, leave, fill):
    bought()
    fill(short(), 4)
    assert leave(7).status == "DENIED"
    assert leave(6).status == "APPROVED"


def test_a_fill_of_a_short_that_the_read_has_not_seen_counts(
    bought, short, leave, account, exchange
):
    bought()
    entry = short()
    footing.read_positions(account)
    exchange.fault("http_500", "positions")
    news = report(entry, FILLED, quantity=10, filled_quantity=10, average_price=Decimal(1450))
    apply_report(account, news, FEED)
    assert parts()[f"strategy:{THEIRS}"] == -10
    assert leave(1).status == "DENIED"


def test_a_short_that_fills_between_the_read_and_the_exit_takes_none_of_its_units(
    bought, short, leave, exchange, account, fill
):
    bought()
    entry = short()
    footing.read_positions(account)
    for endpoint in ("positions", "book"):
        exchange.fault("http_500", endpoint)
    exchange.control("fill", orderId=entry.broker_order_id)
    first = leave()
    assert first.status == "APPROVED", first.reason
    exchange.heal()
    sent(first)
    for strategy in (OURS, THEIRS, ""):
        assert leave(1, strategy).status == "DENIED"
    settled(account)
    fill(first)
    assert parts() == {f"strategy:{OURS}": 0, f"strategy:{THEIRS}": -10}
    assert held(account) == -10
    for strategy in (OURS, THEIRS, ""):
        assert leave(1, strategy).status == "DENIED"


def test_exits_of_many_at_once_take_what_there_was_and_no_more(
    bought, short, leave, exchange, account, reliance
):
    """Beside a short that fills just then, and people who leave what is anybody's."""
    bought()
    entry = short()
    racing = [OnTheSide(leave, 10, name) for name in (OURS, "", OURS, "")]
    exchange.control("fill", orderId=entry.broker_order_id)
    orders = [one.over() for one in racing]
    allowed = [order for order in orders if order.status == "APPROVED"]
    assert sum(order.quantity for order in allowed) <= 10


# --- each kind of hold


@pytest.fixture
def taken(account, intent):
    """What a strategy's exit sees of another strategy's entry of ten that is at work."""

    def taken(product: Product = Product.INTRADAY, **different) -> book.Taken:
        row = {"product": product, "side": Side.SELL, "quantity": 10, "intent": Intent.ENTRY}
        entry = Order(**vars(intent(**row, strategy=THEIRS)), source="SYSTEM")
        hold = book.hold(account, entry.request(), None)
        for name, value in ({"reached_mark": moment()} | different).items():
            setattr(hold, name, value)
        hold.save()
        row |= {"intent": Intent.EXIT}
        leaving = Order(**vars(intent(**row, strategy=OURS)), source="SYSTEM")
        read = PositionsReport.objects.get(account=account)
        return book.taken(account, leaving.request(), read)

    return taken


@pytest.mark.parametrize(
    ("product", "counts"), [("INTRADAY", 0), ("MARGIN", 0), ("DELIVERY", 10), ("MTF", 10)]
)
def test_only_what_can_be_sold_short_opens_a_position_of_its_own(
    bought, taken, account, product, counts
):
    footing.read_positions(account)
    seen = taken(Product(product))
    assert (seen.read, seen.total, seen.owner) == (counts, counts, 0)


@pytest.mark.parametrize(
    "doubt",
    [
        {"claim_id": uuid4()},
        {"change_claim": uuid4()},
        {"reached_mark": None},
        {"released_mark": 2**40, "fills_known": False},
    ],
    ids=lambda doubt: next(iter(doubt)),
)
def test_an_entry_of_which_anything_is_in_doubt_counts_whole(bought, taken, account, doubt):
    footing.read_positions(account)
    if "released_mark" in doubt:
        doubt = doubt | {"released_at": PositionsReport.objects.get().as_of}
    assert taken(**doubt).read == 10


def test_an_order_that_filled_more_than_it_is_gives_nothing_back(bought, taken, account):
    footing.read_positions(account)
    assert taken(filled=12, filled_mark=1, reached_mark=None).total == 0


# --- goals


def waited(account, goal: ExitGoal) -> ExitGoal:
    """Passes until it waits, aloud."""
    alerts = Alert.objects.filter(key=f"goal:{goal.pk}:waits")
    passes_until(account, alerts.exists)
    goal.refresh_from_db()
    return goal


def test_a_part_is_closed_beside_the_short_of_another(
    bought, short, exchange, account, reliance, trader
):
    bought()
    entry = short()
    exchange.control("auto", on=True)
    reached(account, ask(account, reliance, trader, owner=f"strategy:{OURS}"))
    entry.refresh_from_db()
    assert entry.status == "OPEN"
    assert held(account) == 0


def test_a_part_waits_aloud_for_a_persons_order_and_names_it(
    bought, short, exchange, account, reliance, trader
):
    bought()
    entry = short(strategy="")
    other = short(strategy=THEIRS)
    exchange.control("auto", on=True)
    goal = waited(account, ask(account, reliance, trader, owner=f"strategy:{OURS}"))
    assert goal.note.startswith(BY_OTHERS)
    assert entry.correlation_id in goal.note
    assert other.correlation_id not in goal.note
    assert exits() == []
    services.cancel(entry, trader, "not wanted")
    reached(account, goal)
    assert Alert.objects.get(key=f"goal:{goal.pk}:waits").acknowledged_at is not None


def test_closing_all_does_not_wait_for_it(bought, short, exchange, account, reliance, trader):
    bought()
    entry = short(strategy="")
    exchange.control("auto", on=True)
    reached(account, ask(account, reliance, trader))
    entry.refresh_from_db()
    assert entry.status == "CANCELLED"


def test_a_position_that_is_not_confirmed_is_waited_for_as_such(
    bought, exchange, account, reliance, trader
):
    bought()
    goal = ask(account, reliance, trader)
    OwnedPosition.objects.update(net=0)
    waited(account, goal)
    assert goal.note.startswith("waits until the position is confirmed")


@pytest.mark.parametrize(("filled", "rest"), [(10, 10), (6, 6)])
def test_a_part_that_others_hold_against_is_not_called_closed(
    bought, short, fill, exchange, account, reliance, trader, filled, rest
):
    bought()
    fill(short(filled))
    exchange.control("auto", on=True)
    goal = ask(account, reliance, trader, owner=f"strategy:{OURS}")
    passes_until(account, lambda: ExitGoal.objects.get().state != "WORKING")
    goal.refresh_from_db()
    assert goal.state == "STOPPED"
    assert f"strategy:{OURS} has {rest} of it, and the account 0 in all" in goal.note
    assert held(account) == 0
    goals.go_on(goal, trader, "looked")
    passes_until(account, lambda: ExitGoal.objects.get().state != "WORKING")
    assert ExitGoal.objects.get().state == "STOPPED"


def test_a_part_that_could_not_be_closed_does_not_hold_up_the_kill_switch(
    bought, short, fill, exchange, account, reliance, trader
):
    bought()
    fill(short())
    goal = ask(account, reliance, trader, owner=f"strategy:{OURS}")
    passes_until(account, lambda: ExitGoal.objects.get().state == "STOPPED")
    gone_through(kill(account, trader), "LOCKED")
    goal.refresh_from_db()
    assert goal.state == "WITHDRAWN"


def test_one_owners_exit_that_rests_does_not_starve_another(
    bought, exchange, account, reliance, trader, settings
):
    settings.FLATTEN_REPRICE_AFTER = 60.0
    bought(6)
    bought(4, strategy=THEIRS)
    ask(account, reliance, trader)
    resting = Order.objects.filter(source="FLATTEN", status="OPEN")
    passes_until(account, lambda: resting.count() == 2)
    lost = resting.get(strategy=THEIRS)
    exchange.control("hand/cancel", orderId=lost.broker_order_id)
    passes_until(account, lambda: resting.exclude(pk=lost.pk).count() == 2)
    assert [(order.strategy, order.open_quantity) for order in resting.order_by("pk")] == [
        (OURS, 6),
        (THEIRS, 4),
    ]
    one_pass(account)
    assert not Alert.objects.filter(key__endswith=":waits").exists()
    assert Hold.objects.filter(released_at=None).count() == 2
