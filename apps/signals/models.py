"""Who may send signals, and every signal that was heard, with what became of it."""

from __future__ import annotations

import datetime as dt
import secrets

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from apps.alerts.secrets import EncryptedTextField
from apps.brokers.models import BrokerAccount
from apps.brokers.port import Intent
from apps.orders.models import Order


def new_hook_id() -> str:
    """256 bits that nobody guesses, safe in an address."""
    return secrets.token_urlsafe(32)


class Profile(models.TextChoices):
    """How a source proves who it is."""

    SIGNED = "signed", "Signed: HMAC over every request"


class SignalSource(models.Model):
    """One sender of signals: its address, its secrets, and what it may do."""

    name = models.SlugField(max_length=40, unique=True)
    hook_id = models.CharField(max_length=64, unique=True, default=new_hook_id, editable=False)
    profile = models.CharField(max_length=12, choices=Profile.choices, default=Profile.SIGNED)
    secret = EncryptedTextField(editable=False)
    previous_secret = EncryptedTextField(editable=False, default="", blank=True)
    previous_valid_until = models.DateTimeField(null=True, editable=False)
    rotated_at = models.DateTimeField(default=timezone.now, editable=False)
    window = models.PositiveIntegerField(
        default=300,
        validators=[MinValueValidator(5), MaxValueValidator(3600)],
        help_text="Seconds by which the sender's clock may differ from ours, both ways.",
    )
    account = models.ForeignKey(
        BrokerAccount,
        on_delete=models.PROTECT,
        related_name="signal_sources",
        help_text="Trades here when a signal names no account.",
    )
    others = models.ManyToManyField(
        BrokerAccount,
        blank=True,
        related_name="+",
        verbose_name="other accounts",
        help_text="Accounts that a signal may name besides.",
    )
    strategy = models.CharField(
        max_length=80, blank=True, help_text="Name of the strategy when a signal brings none."
    )
    entry_lifetime = models.PositiveIntegerField(
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(3600)],
        help_text="Seconds after which an entry is too old to act on. Exits do not grow old.",
    )
    test_mode = models.BooleanField(
        default=False, help_text="Its signals can never reach a live account."
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        permissions = [("rotate_secret", "Can rotate the secret of a signal source")]

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> str:
        """Where its signals are sent."""
        return f"/hooks/{self.hook_id}/"

    def secrets_in_force(self, at: dt.datetime) -> list[str]:
        """The secret, and the one before while a rotation is under way."""
        until = self.previous_valid_until
        both = self.previous_secret and until is not None and at < until
        return [self.secret, self.previous_secret] if both else [self.secret]

    def clean(self) -> None:
        """A source in test mode cannot have a live account as its own."""
        if self.test_mode and self.account_id and self.account.environment == "live":
            raise ValidationError({"account": "A source in test mode cannot use a live account."})


class Fate(models.TextChoices):
    """What became of a signal."""

    RECEIVED = "RECEIVED"
    ACTED = "ACTED"
    REFUSED = "REFUSED"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"


# The colours of the desk's style sheet.
FATE_TONES = {
    Fate.RECEIVED: "wait",
    Fate.ACTED: "good",
    Fate.REFUSED: "bad",
    Fate.EXPIRED: "bad",
    Fate.FAILED: "alarm",
}


class Signal(models.Model):
    """One signal as it was heard, once. PostgreSQL keeps what was heard, and a settled fate."""

    source = models.ForeignKey(SignalSource, on_delete=models.PROTECT, related_name="signals")
    sender_id = models.CharField(max_length=200, blank=True, help_text="The sender's own id.")
    dedupe_key = models.CharField(max_length=200)
    received_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(help_text="The sender's time.")
    body = models.TextField()
    body_hash = models.CharField(max_length=64, help_text="SHA-256 of the bytes that came.")
    headers = models.JSONField(default=dict)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="signals")
    intent = models.CharField(max_length=8, choices=[(word.value, word.value) for word in Intent])
    test = models.BooleanField()
    wish = models.JSONField(help_text="What the body asks for, in our words.")

    fate = models.CharField(max_length=8, choices=Fate.choices, default=Fate.RECEIVED)
    reason = models.TextField(blank=True)
    order = models.ForeignKey(
        Order, null=True, blank=True, on_delete=models.PROTECT, related_name="signals"
    )
    acted_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(help_text="When the sweep rings for it.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "dedupe_key"], name="a_signal_is_heard_once_for_ever"
            )
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                condition=models.Q(fate="RECEIVED"),
                name="signal_waiting",
            )
        ]

    def __str__(self) -> str:
        return f"signal {self.pk} of {self.source}"

    @property
    def request_key(self) -> str:
        """The order's key: however often this signal is acted on, there is one order."""
        return f"signal:{self.pk}"

    @property
    def exiting(self) -> bool:
        """True for a signal that takes a position down."""
        return self.intent == Intent.EXIT

    @property
    def in_words(self) -> str:
        """What it asks for, in one line."""
        wish = self.wish
        size = f"{wish['lots']} lots" if wish.get("lots") else wish["quantity"]
        price = f" at {wish['price']}" if wish.get("price") else ""
        return f"{wish['side']} {size} {wish['instrument']} {wish['type']}{price}"

    def older_than_its_life(self, at: dt.datetime) -> bool:
        """True for an entry that came, or was sent, too long ago."""
        if self.exiting:
            return False
        lifetime = dt.timedelta(seconds=self.source.entry_lifetime)
        return at > min(self.sent_at, self.received_at) + lifetime
