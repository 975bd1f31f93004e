"""What the database refuses of brackets, and what the check of their rows finds."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.orders.bracket_check import breaks_of, check_brackets
from apps.orders.models import Bracket, BracketLeg, BracketStatus, LegStatus, Order
from tests.orders.telling import sent

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bracket(account, reliance):
    """Make a bracket of ten shares with its three legs, all awaited."""

    def make(**different):
        legs = different.pop("legs", ("ENTRY", "TARGET", "STOP_LOSS"))
        fields = {
            "account": account,
            "instrument": reliance,
            "side": "BUY",
            "product": "INTRADAY",
            "quantity": 10,
            "style": "MANAGED",
            "entry_price": Decimal(1400),
            "target_price": Decimal(1420),
            "stop_price": Decimal(1390),
            "source": "COMMAND",
            "actor": "Alice",
        }
        made = Bracket.objects.create(**(fields | different))
        for name in legs:
            BracketLeg.objects.create(bracket=made, account=account, leg=name, quantity=10)
        return made

    return make


def leg(bracket, name, **columns):
    BracketLeg.objects.filter(bracket=bracket, leg=name).update(**columns)


def broken(bracket) -> str:
    return "; ".join(breaks_of(Bracket.objects.get(pk=bracket.pk)))


class TestTheDatabase:
    @pytest.mark.parametrize(
        ("different", "rule"),
        [
            ({"quantity": 0}, "bracket_quantity_is_positive"),
            ({"stop_price": None}, "a_bracket_has_a_stop"),
            ({"stop_price": 1401}, "the_stop_is_on_the_losing_side"),
            ({"side": "SELL"}, "stop_and_target_on_either_side|losing_side"),
            ({"target_price": 1380}, "stop_and_target_on_either_side"),
            ({"trailing_jump": 0}, "trailing_jump_is_positive"),
            ({"status": "IMPORTED"}, "imported_brackets_are_history"),
        ],
        ids=range(7),
    )
    def test_a_bracket_that_makes_no_sense_is_refused(self, bracket, different, rule):
        with pytest.raises(DatabaseError, match=rule):
            bracket(**different)

    def test_a_stop_may_follow_the_price_past_the_entry_once_it_is_entered(self, bracket):
        made = bracket()
        with pytest.raises(DatabaseError), transaction.atomic():
            Bracket.objects.filter(pk=made.pk).update(stop_price=1405)
        Bracket.objects.filter(pk=made.pk).update(stop_price=1405, status="HOLDING")

    def test_an_entry_at_the_market_needs_no_price(self, bracket):
        assert bracket(entry_price=None).pk

    def test_a_request_makes_one_bracket(self, bracket):
        bracket(request_key="k")
        with pytest.raises(DatabaseError, match="request_key"):
            bracket(request_key="k")

    def test_one_parent_of_the_broker_is_one_bracket_a_day(self, bracket):
        bracket(parent_broker_id="7")
        with pytest.raises(DatabaseError, match="one_bracket_per_parent_and_day"):
            bracket(parent_broker_id="7")

    def test_all_legs_may_have_the_entrys_id_but_no_two_brackets_the_same(self, bracket):
        one, two = bracket(), bracket()
        BracketLeg.objects.filter(bracket=one).update(leg_order_id="100")
        assert BracketLeg.objects.filter(leg_order_id="100").count() == 3
        with pytest.raises(DatabaseError, match="leg_id_is_unique_per_day_and_leg"):
            leg(two, "TARGET", leg_order_id="100")

    def test_the_same_id_on_another_day_is_another_leg(self, bracket):
        one, two = bracket(), bracket()
        yesterday = timezone.localdate() - timezone.timedelta(days=1)
        leg(one, "ENTRY", leg_order_id="100", trading_day=yesterday)
        leg(two, "ENTRY", leg_order_id="100")

    def test_a_bracket_has_each_leg_once(self, bracket, account):
        made = bracket()
        with pytest.raises(DatabaseError, match="three_legs_at_most"):
            BracketLeg.objects.create(bracket=made, account=account, leg="ENTRY", quantity=10)

    def test_an_order_is_one_leg(self, bracket, order):
        made = bracket()
        leg(made, "ENTRY", order=order)
        with pytest.raises(DatabaseError, match="one_leg_per_order"):
            leg(made, "TARGET", order=order)

    def test_a_leg_is_of_its_brackets_account(self, bracket, make_account):
        made = bracket(legs=())
        other = make_account("beta", "1000000002")
        with pytest.raises(DatabaseError, match="of one account"):
            BracketLeg.objects.create(bracket=made, account=other, leg="ENTRY", quantity=10)

    def test_neither_brackets_nor_legs_are_ever_deleted(self, bracket):
        bracket()
        for model in (BracketLeg, Bracket):
            with pytest.raises(DatabaseError, match="append only"), transaction.atomic():
                model.objects.all()._raw_delete("default")


class TestTheCheck:
    def test_a_sound_bracket_has_nothing_broken(self, bracket):
        assert broken(bracket()) == ""

    @pytest.mark.parametrize("missing", ["ENTRY", "TARGET", "STOP_LOSS"])
    def test_a_leg_that_is_missing(self, bracket, missing):
        legs = [name for name in ("ENTRY", "TARGET", "STOP_LOSS") if name != missing]
        assert "it has no" in broken(bracket(legs=legs))

    def test_no_target_is_needed_where_none_was_wanted(self, bracket):
        assert broken(bracket(target_price=None, legs=("ENTRY", "STOP_LOSS"))) == ""

    def holding(self, bracket):
        made = bracket(status=BracketStatus.HOLDING)
        leg(made, "ENTRY", status=LegStatus.FILLED, filled_quantity=10)
        BracketLeg.objects.filter(bracket=made).exclude(leg="ENTRY").update(status="WORKING")
        return made

    def test_a_held_position_with_its_stop_is_sound(self, bracket):
        assert broken(self.holding(bracket)) == ""

    @pytest.mark.parametrize("status", ["CANCELLED", "REJECTED", "EXPIRED"])
    def test_a_position_whose_stop_is_gone(self, bracket, status):
        made = self.holding(bracket)
        leg(made, "STOP_LOSS", status=status)
        assert "10 units are held without a stop-loss" in broken(made)

    def test_both_exits_filled(self, bracket):
        made = self.holding(bracket)
        for name in ("TARGET", "STOP_LOSS"):
            leg(made, name, status="FILLED", filled_quantity=10)
        said = broken(made)
        assert "target and stop-loss both filled" in said
        assert "its exits filled 10 units more than its entry" in said

    def test_a_sibling_that_did_not_shrink(self, bracket):
        made = self.holding(bracket)
        leg(made, "TARGET", status="PARTIALLY_FILLED", filled_quantity=4)
        assert "its stop-loss is open for 10 units while 6 are held" in broken(made)

    def test_an_end_that_is_none(self, bracket):
        made = self.holding(bracket)
        Bracket.objects.filter(pk=made.pk).update(status="OVER")
        said = broken(made)
        assert "it is over while its" in said
        assert "it is over and 10 units of it were never left" in said

    def test_no_end_where_nothing_can_trade(self, bracket):
        made = bracket()
        BracketLeg.objects.filter(bracket=made).update(status="CANCELLED")
        assert "none of its legs can trade any more, and it is ENTERING" in broken(made)

    def test_a_leg_that_contradicts_its_order(self, bracket, place):
        made = bracket()
        leg(made, "ENTRY", order=place(quantity=10), status="WORKING", filled_quantity=3)
        leg(made, "TARGET", order=place())
        said = broken(made)
        assert "Entry: it is WORKING while its order is APPROVED" in said
        assert "Entry: the filled quantity of its order is 0, not 3" in said
        assert "Target: the side of its order is BUY, not SELL" in said

    def test_a_leg_is_named_by_its_own_order(self, bracket, working):
        made = bracket()
        order = working(quantity=10)
        leg(made, "ENTRY", order=order, status="WORKING")
        assert check_brackets().named == 1
        assert made.legs.get(leg="ENTRY").leg_order_id == order.broker_order_id

    def test_a_leg_whose_reply_was_lost_is_named_by_the_order_book(self, bracket, place, exchange):
        order = place(quantity=10)
        exchange.fault("drop_after_accept", "place", times=1)
        lost = sent(order)
        assert (lost.status, lost.broker_order_id) == ("UNKNOWN", "")
        made = bracket()
        leg(made, "ENTRY", order=lost, status="UNKNOWN")
        found = check_brackets()
        assert (found.named, found.unread) == (1, [])
        name = made.legs.get(leg="ENTRY").leg_order_id
        assert name
        assert Order.objects.get(pk=lost.pk).status == "UNKNOWN"  # that is the look's to end

    def test_books_that_cannot_be_read_are_said(self, bracket, order, exchange):
        made = bracket()
        leg(made, "ENTRY", order=order)
        exchange.fault("http_500", "book")
        found = check_brackets()
        assert found.named == 0
        assert found.unread[0].startswith("the order book of alpha:")

    def test_the_command_without_a_file_says_what_is_broken(self, bracket):
        out = io.StringIO()
        call_command("migrate_bo_schema", stdout=out)
        assert "0 brackets with 0 legs checked" in out.getvalue()
        bracket(legs=("ENTRY", "TARGET"))
        with pytest.raises(CommandError, match="1 broken"):
            call_command("migrate_bo_schema", stdout=out)
        assert "it has no stop-loss leg" in out.getvalue()

    @pytest.mark.parametrize("words", [["--dry-run"], ["--rollback"], ["--map", "leader=alpha"]])
    def test_the_command_without_a_file_takes_no_options_of_files(self, account, words):
        with pytest.raises(CommandError, match="needs a SOURCE"):
            call_command("migrate_bo_schema", *words)
