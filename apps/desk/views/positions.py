"""Positions by owner, and the entry that explains one which no fill here does."""

from __future__ import annotations

import re
from decimal import Decimal

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods, require_safe

from apps.brokers.finding import NotFound, find_instrument
from apps.brokers.models import BrokerAccount, Instrument
from apps.brokers.port import Product
from apps.desk import positions
from apps.desk.forms import AccountField, ReasonForm
from apps.desk.pages import desk_page, done, show, user_of
from apps.orders import ledger
from apps.orders.models import MANUAL, OUTSIDE, OpeningEntry
from apps.people.typed import row_number

ENTRIES = 50
MAY_VIEW, MAY_ENTER = "orders.view_ledgerposition", "orders.add_openingentry"
_OWNER = re.compile(rf"{MANUAL}|{OUTSIDE}|strategy:\S[^\n]{{0,79}}")


class EntryForm(ReasonForm):
    """A position that was there before the desk, or a correction of one."""

    account = AccountField(BrokerAccount.objects.all(), empty_label="Choose…")
    instrument = forms.CharField(max_length=160, help_text="Symbol, or SEGMENT:security id.")
    product = forms.ChoiceField(choices=[(word.value, word.value.capitalize()) for word in Product])
    owner = forms.CharField(
        max_length=89, initial=OUTSIDE, help_text="external, manual, or strategy:NAME."
    )
    quantity = forms.IntegerField(
        min_value=-(2**31) + 1, max_value=2**31 - 1, help_text="Units; below zero is short."
    )
    price = forms.DecimalField(
        label="Price ₹", min_value=Decimal("0.0001"), max_digits=13, decimal_places=4
    )
    field_order = ("account", "instrument", "product", "owner", "quantity", "price", "reason")

    def clean_instrument(self) -> Instrument:
        """The one instrument that is meant."""
        try:
            return find_instrument(self.cleaned_data["instrument"], leaving=True)
        except NotFound as error:
            raise ValidationError(f"{error}.") from None

    def clean_owner(self) -> str:
        """An owner as the ledger names them."""
        owner: str = self.cleaned_data["owner"].strip()
        if not _OWNER.fullmatch(owner):
            raise ValidationError("Write external, manual, or strategy: and its name.")
        return owner

    def clean_quantity(self) -> int:
        """Something."""
        quantity: int = self.cleaned_data["quantity"]
        if quantity == 0:
            raise ValidationError("An entry of nothing says nothing: more or less than 0.")
        return quantity


@desk_page(MAY_VIEW)
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Every account's positions, or one's, and the last entries."""
    accounts = list(BrokerAccount.objects.order_by("name"))
    asked = row_number(request.GET.get("account", ""))
    chosen = [one for one in accounts if one.pk == asked] or accounts
    entries = OpeningEntry.objects.select_related("account", "instrument", "user")
    return show(
        request,
        "positions",
        "Positions",
        accounts=accounts,
        asked=asked,
        sheets=[positions.sheet(account) for account in chosen],
        entries=entries.filter(account__in=chosen)[:ENTRIES],
        may_enter=request.user.has_perm(MAY_ENTER),
        may_close=request.user.has_perm("risk.flatten"),
    )


@desk_page(MAY_VIEW, MAY_ENTER)
@require_http_methods(["GET", "POST"])
def enter(request: HttpRequest) -> HttpResponse:
    """The form of an entry; a look at it once more; the entry."""
    if request.method == "GET":
        return _show(request, EntryForm(initial=request.GET.dict()))
    form = EntryForm(request.POST)
    if not form.is_valid():
        return _show(request, form)
    if "confirmed" not in request.POST:
        return _show(request, form, confirming=True)
    entry = OpeningEntry(**form.cleaned_data, user=user_of(request))
    ledger.book_entry(entry)
    return done(request, f"Booked: {entry}.", "desk:positions")


def _show(request: HttpRequest, form: EntryForm, *, confirming: bool = False) -> HttpResponse:
    return show(request, "entry", "Opening entry", form=form, confirming=confirming)
