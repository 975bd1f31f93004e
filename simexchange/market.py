"""The price of one instrument: a seeded random walk, and the street's depth around it."""

from decimal import Decimal
from random import Random

from simexchange.book import Book, Level, Street
from simexchange.instruments import Instrument
from simexchange.money import tick_above, tick_below
from simexchange.orders import Order

DEPTH_LEVELS = 5
PROTECTION = Decimal("0.01")
"""Share of the last price a MARKET order may pay away. Dhan publishes no figure."""


class Market:
    """Book, last price and day range of one instrument. Prices are in rupees.

    Beside the book wait `stops` for their trigger, `paced` orders for their next piece, and
    `watched` exits of super orders, which the exchange does not know yet, for their price.
    """

    def __init__(self, instrument: Instrument, seed: int) -> None:
        self.instrument = instrument
        self.book = Book()
        self.stops: list[Order] = []
        self.paced: list[Order] = []
        self.watched: list[Order] = []
        self._random = Random(f"{seed}/{instrument.segment}/{instrument.security_id}")
        self.last = instrument.close
        self.open = self.high = self.low = self.last
        self.volume = 0
        self._quote_street()

    def step(self) -> None:
        """Move the last price by a few ticks, drawn back to the previous close when far away."""
        instrument = self.instrument
        spread = max(1.0, float(instrument.close / instrument.tick) * 0.0004)
        pull = float((instrument.close - self.last) / instrument.tick) * 0.002
        moved = self.last + round(self._random.gauss(pull, spread)) * instrument.tick
        self.set_last(moved)

    def nearest(self, price: Decimal) -> Decimal:
        """A price brought on the tick and into the day's band."""
        instrument = self.instrument
        return min(max(tick_below(price, instrument.tick), instrument.lower), instrument.upper)

    def set_last(self, price: Decimal) -> None:
        """Pin the last price, as near as it may be."""
        self.last = self.nearest(price)
        self.high = max(self.high, self.last)
        self.low = min(self.low, self.last)
        self._quote_street()

    def has_reached(self, order: Order) -> bool:
        """Whether the last price has come to a stop order's trigger."""
        return self.last >= order.trigger if order.is_buy else self.last <= order.trigger

    def withdraw(self, order: Order) -> None:
        """Take an order out of the book, or out of those that wait beside it."""
        for waiting in (self.stops, self.paced, self.watched):
            if order in waiting:
                waiting.remove(order)
                return
        self.book.remove(order)

    def protected_price(self, side: str, at: Decimal | None = None) -> Decimal:
        """The limit a MARKET order is given: one per cent beyond the last price, in the band."""
        instrument, at = self.instrument, self.last if at is None else at
        if side == "BUY":
            return min(tick_above(at * (1 + PROTECTION), instrument.tick), instrument.upper)
        price = tick_below(at * (1 - PROTECTION), instrument.tick)
        return max(price, instrument.lower)

    @property
    def shown_bids(self) -> list[Level]:
        """The street's bids that others see: a level at the last price would cross its ask."""
        return [level for level in self.book.street.bids if level.price < self.last]

    def _quote_street(self) -> None:
        instrument = self.instrument
        prices = [self.last + n * instrument.tick for n in range(DEPTH_LEVELS)]
        asks = [Level(p, self._size()) for p in prices if p <= instrument.upper]
        prices = [self.last - n * instrument.tick for n in range(DEPTH_LEVELS)]
        bids = [Level(p, self._size()) for p in prices if p >= instrument.lower]
        self.book.street = Street(bids=bids, asks=asks)

    def _size(self) -> int:
        """Units on one level: 1 to 12 lots of a derivative, 20 to 400 shares."""
        if self.instrument.is_equity:
            return self._random.randint(20, 400)
        return self._random.randint(1, 12) * self.instrument.lot
