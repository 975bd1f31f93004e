"""The broker's risk checks: what is accepted with HTTP 200 and only then rejected in the book.

Only the text for missing funds is recorded from the wire; the others follow its pattern.
"""

from datetime import date
from decimal import Decimal

from simexchange.accounts import Account
from simexchange.instruments import Instrument
from simexchange.money import PAISA, on_tick
from simexchange.orders import Order


def objection(order: Order, instrument: Instrument, account: Account, today: date) -> str:
    """Why the order may not go to the exchange, or an empty text."""
    text = (
        _kill_switch(account, today)
        or _form(order, instrument)
        or _delivery(order, instrument, account, today)
        or _funds(order, instrument, account)
    )
    return f"RMS:{order.shown_id}:{text}" if text else ""


def _kill_switch(account: Account, today: date) -> str:
    killed = account.guards.is_killed(today)
    return "Kill Switch is active, trading is disabled for the day." if killed else ""


def _delivery(order: Order, instrument: Instrument, account: Account, today: date) -> str:
    """A share that is held can be sold as far as it is there, and as far as it may leave."""
    holding = account.holdings.get(order.key)
    if holding is None or order.product != "CNC" or order.is_buy:
        return ""
    taken = account.taken_from_holding(order)
    if taken > holding.quantity:
        return f"Sell quantity is more than the holding of {holding.quantity}."
    allowed = account.delivery.approved_on(instrument.isin, today)
    if taken > allowed and not account.delivery.ddpi:
        return f"DDPI is not active, and eDIS is approved for {allowed} only."
    return ""


def _form(order: Order, instrument: Instrument) -> str:
    if order.quantity % instrument.lot:
        return f"Quantity should be in multiples of lot size {instrument.lot}."
    if instrument.freeze and order.quantity > instrument.freeze:
        return f"Quantity exceeds the freeze quantity {instrument.freeze}."
    prices = [order.price]
    if order.order_type == "STOP_LOSS":
        prices.append(order.trigger)
    for price in prices:
        if text := price_objection(price, instrument):
            return text
    return ""


def price_objection(price: Decimal, instrument: Instrument) -> str:
    if not on_tick(price, instrument.tick):
        return f"Price should be in multiples of tick size {instrument.tick:.2f}."
    if not instrument.lower <= price <= instrument.upper:
        band = f"{instrument.lower:.2f} - {instrument.upper:.2f}"
        return f"Price is outside the circuit limits {band}."
    return ""


def _funds(order: Order, instrument: Instrument, account: Account) -> str:
    missing = account.shortfall(order, instrument)
    if not missing:
        return ""
    amount = missing.quantize(PAISA)
    return f"You have insufficient funds. Please add Rs.{amount} to trade."
