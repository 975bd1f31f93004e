"""The life of a bracket without a broker, told through the pens that write it in the house."""

from __future__ import annotations

from decimal import Decimal

from django.utils import timezone

from apps.orders import bracket_guard, bracket_sight, lifecycle
from apps.orders.lifecycle import Happening, Terms
from apps.orders.services import Actor
from apps.orders.states import Event
from tests.desk.conftest import happens, working


class Story:
    def __init__(self, bracket, new_order):
        self.bracket, self.new_order = bracket, new_order
        self.entry = bracket.legs.get(leg="ENTRY").order
        self.numbers = {"STOP_LOSS": 0, "TARGET": 0, "OUT": 0}

    def look(self, **columns):
        self.bracket.refresh_from_db()
        self.bracket.keep({"looked_at": timezone.now(), **columns})
        orders = bracket_sight.orders_of(self.bracket)
        bracket_sight.show_legs(self.bracket, orders, self.bracket.legs.all())

    def exit(self, part, **terms):
        self.numbers[part] += 1
        number = self.numbers[part]
        order = self.new_order(
            request_key=f"{self.bracket.name}:{part}:{number}",
            side="SELL",
            intent="EXIT",
            source="SYSTEM",
            **terms,
        )
        return working(order, f"{part}-{number}")

    def entered(self, filled=10):
        working(self.entry, "7001")
        event = Event.FILL if filled == 10 else Event.PARTIAL
        price = Decimal("2500.50")
        happens(self.entry, event, filled_quantity=filled, average_price=price)
        self.look(status="HOLDING", exposed_since=timezone.now())
        self.stop = self.exit(
            "STOP_LOSS", order_type="STOP_LIMIT", price=Decimal(2470), trigger_price=Decimal(2480)
        )
        self.target = self.exit("TARGET", price=Decimal(2550))
        self.look(exposed_since=None)

    def trail(self, to):
        terms = Terms(trigger_price=Decimal(to), price=Decimal(to) - 10)
        news = Happening(event=Event.WORK, origin="test", terms=terms, reported_at=timezone.now())
        lifecycle.apply(self.stop.pk, news)
        self.look(stop_price=Decimal(to))

    def target_fills(self):
        price = Decimal(2550)
        happens(self.target, Event.FILL, filled_quantity=10, average_price=price)
        self.look(status="LEAVING")
        happens(self.stop, Event.WANT_CANCEL, text="the target filled")
        happens(self.stop, Event.CANCEL)
        self.look(status="OVER", finished_at=timezone.now())

    def left(self):
        bracket_guard.leave(self.bracket, Actor(name="tara"), "lunch")
        self.look(status="LEAVING")
        for order in (self.stop, self.target):
            happens(order, Event.CANCEL)
        out = self.exit("OUT", price=Decimal(2490))
        happens(out, Event.FILL, filled_quantity=10, average_price=Decimal(2491))
        self.look(status="OVER", finished_at=timezone.now())

    def stop_is_replaced(self):
        happens(self.stop, Event.PARTIAL, filled_quantity=4, average_price=Decimal(2479))
        happens(self.stop, Event.CANCEL)
        self.look()
        self.stop = self.exit("STOP_LOSS", quantity=6, price=Decimal(2470))
        self.look()
