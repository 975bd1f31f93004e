"""Forms that ask before they act. Every one needs a reason."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from apps.brokers.finding import NotFound, find_instrument
from apps.brokers.models import BrokerAccount, Instrument
from apps.brokers.port import Intent, OrderType, Product, Side, Validity
from apps.orders import brackets
from apps.orders.brackets import BracketIntent
from apps.orders.models import Bracket, Leg, Order
from apps.orders.services import BadOrder, OrderIntent

PRICED = (OrderType.LIMIT, OrderType.STOP_LIMIT)
EXITS = ("stop_price", "target_price", "trailing_jump")
STOPS = (OrderType.STOP_LIMIT, OrderType.STOP_MARKET)


def _words(words: type[Side | OrderType | Product | Validity | Intent]) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ").capitalize()) for word in words]


def _reason() -> forms.CharField:
    return forms.CharField(max_length=300, help_text="Kept for ever with what you do.")


def _rupees(label: str) -> forms.DecimalField:
    return forms.DecimalField(
        label=label, required=False, min_value=Decimal(0), max_digits=13, decimal_places=4
    )


class ReasonForm(forms.Form):
    """Why."""

    reason = _reason()


class ReleaseForm(forms.Form):
    """What the broker's own statement shows of an order in doubt."""

    reason = forms.CharField(
        max_length=300,
        label="What the broker's own statement shows",
        help_text="The second person reads it with the order's terms. Kept for ever.",
    )


class DecideForm(ReasonForm):
    """Yes or no, and why."""

    answer = forms.ChoiceField(choices=[("approve", "Approve"), ("refuse", "Refuse")])


class ModifyForm(forms.Form):
    """New terms of a working order; the quantity is the new total."""

    quantity = forms.IntegerField(min_value=1, help_text="New total in units, not lots.")
    price = _rupees("Price ₹")
    trigger_price = _rupees("Trigger ₹")
    reason = _reason()
    seen = forms.CharField(max_length=80, required=False, widget=forms.HiddenInput)

    def __init__(self, order: Order, data: Any = None) -> None:  # noqa: ANN401
        self.order = order
        terms = {name: getattr(order, name) for name in ("quantity", "price", "trigger_price")}
        super().__init__(data, initial=terms | {"seen": order.terms_in_words})
        if order.order_type != OrderType.STOP_LIMIT:
            del self.fields["trigger_price"]

    def clean_seen(self) -> str:
        """New terms replace those that the person saw, and no others."""
        seen: str = self.cleaned_data["seen"]
        if seen and seen != self.order.terms_in_words:
            now = self.order.terms_in_words
            self.add_error(None, f"It changed while you looked: it is {now} now. Look again.")
        return seen

    def terms(self) -> dict[str, Any]:
        """What is asked for, without the reason."""
        words = {"reason", "seen"}
        return {name: value for name, value in self.cleaned_data.items() if name not in words}


class BracketForm(forms.Form):
    """New prices of a bracket's stop and target; the leg that was asked for comes first to hand."""

    stop_price = _rupees("Stop-loss ₹")
    target_price = _rupees("Target ₹")
    reason = _reason()

    def __init__(self, bracket: Bracket, data: Any = None, first: str = "") -> None:  # noqa: ANN401
        self.terms_now = {name: getattr(bracket, name) for name in ("stop_price", "target_price")}
        super().__init__(data, initial=self.terms_now)
        if bracket.target_price is None:
            del self.fields["target_price"]
        asked = "target_price" if first == Leg.TARGET else "stop_price"
        if asked in self.fields:
            self.fields[asked].widget.attrs["autofocus"] = True

    def terms(self) -> dict[str, Any]:
        """What is asked for, without the reason."""
        return {name: value for name, value in self.cleaned_data.items() if name != "reason"}


class AccountField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Accounts with what they are: nobody should take a live one for paper."""

    def label_from_instance(self, obj: BrokerAccount) -> str:
        """Name and environment."""
        return f"{obj.name} ({obj.environment.upper()})"


class PlaceForm(forms.Form):
    """A new order. The instrument is written ``SEGMENT:security id:symbol``, or just its symbol."""

    account = AccountField(BrokerAccount.objects.filter(enabled=True), empty_label="Choose…")
    instrument = forms.CharField(max_length=160, help_text="Type a symbol or a name.")
    side = forms.ChoiceField(choices=[("", "Choose…"), *_words(Side)])
    quantity = forms.IntegerField(min_value=1, help_text="Units, not lots.")
    order_type = forms.ChoiceField(label="Type", choices=_words(OrderType))
    price = _rupees("Price ₹")
    trigger_price = _rupees("Trigger ₹")
    product = forms.ChoiceField(choices=_words(Product))
    validity = forms.ChoiceField(choices=_words(Validity))
    intent = forms.ChoiceField(choices=_words(Intent))
    after_market = forms.BooleanField(
        required=False, help_text="Sent while the market is closed; waits for its next opening."
    )
    strategy = forms.CharField(max_length=80, required=False)
    stop_price = _rupees("Stop-loss ₹")
    target_price = _rupees("Target ₹")
    trailing_jump = _rupees("Trailing step ₹")
    reason = _reason()

    def clean_instrument(self) -> Instrument:
        """The one tradable instrument that is meant."""
        try:
            leaving = self.data.get("intent") == Intent.EXIT
            return find_instrument(self.cleaned_data["instrument"], leaving=leaving)
        except NotFound as error:
            raise ValidationError(f"{error}. Choose one of the list.") from None

    def clean(self) -> dict[str, Any]:
        """Prices that the type of order needs, and no others."""
        cleaned = super().clean() or self.cleaned_data
        kind = cleaned.get("order_type")
        needs = {"price": kind in PRICED, "trigger_price": kind in STOPS}
        for name, needed in needs.items():
            given = cleaned.get(name) is not None
            if needed and not given and name not in self.errors:
                self.add_error(name, "This type of order needs it.")
            elif given and not needed:
                self.add_error(name, "This type of order has none; leave it empty.")
        if not self.errors and self.is_bracket:
            self._check_bracket()
        return cleaned

    @property
    def is_bracket(self) -> bool:
        """True when it asks for exits along with the entry."""
        return any(self.cleaned_data.get(name) is not None for name in EXITS)

    def _check_bracket(self) -> None:
        said = self.cleaned_data
        if said["intent"] != Intent.ENTRY:
            self.add_error("intent", "Only an entry can have a stop-loss and a target.")
        if said["validity"] != Validity.DAY:
            self.add_error("validity", "With a stop-loss or a target it must be Day.")
        if said["after_market"]:
            self.add_error("after_market", "Not with a stop-loss or a target.")
        try:
            brackets.check(self.bracket())
        except BadOrder as error:
            field = error.field if error.field in self.fields else None
            self.add_error(field, error.text.capitalize())

    def bracket(self) -> BracketIntent:
        """The same with its exits."""
        said = self.cleaned_data
        return BracketIntent(
            account=said["account"],
            instrument=said["instrument"],
            side=Side(said["side"]),
            quantity=said["quantity"],
            order_type=OrderType(said["order_type"]),
            price=said["price"],
            product=Product(said["product"]),
            strategy=said["strategy"],
            **{name: said[name] for name in EXITS},
        )

    def wanted(self) -> OrderIntent:
        """The order as the desk's services take it."""
        said = self.cleaned_data
        return OrderIntent(
            account=said["account"],
            instrument=said["instrument"],
            side=Side(said["side"]),
            quantity=said["quantity"],
            order_type=OrderType(said["order_type"]),
            price=said["price"],
            trigger_price=said["trigger_price"],
            product=Product(said["product"]),
            validity=Validity(said["validity"]),
            intent=Intent(said["intent"]),
            after_market=said["after_market"],
            strategy=said["strategy"],
        )


class SwitchForm(forms.Form):
    """Turn one switch."""

    scope = forms.CharField(max_length=40)
    to = forms.ChoiceField(choices=[("halt", "Halt"), ("resume", "Resume")])
    reason = _reason()
