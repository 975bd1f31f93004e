"""Accounts at brokers, what can be traded there, and every word said to and heard from them."""

from __future__ import annotations

import datetime as dt
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from apps.brokers.port import Segment
from apps.brokers.secrets import EncryptedTextField, Secret

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
SANDBOX_HOSTS = {"sandbox.dhan.co"}


def _choices(words: type[Segment]) -> list[tuple[str, str]]:
    return [(word.value, word.value) for word in words]


class BrokerKind(models.TextChoices):
    """Brokers with an adapter."""

    DHAN = "dhan", "DhanHQ"


class BrokerAccount(models.Model):
    """One account at a broker. Live, sandbox and paper differ only in their addresses."""

    name = models.SlugField(max_length=40, unique=True)
    broker = models.CharField(max_length=20, choices=BrokerKind.choices)
    client_id = models.CharField(
        max_length=40, validators=[RegexValidator(r"^[A-Za-z0-9]+$", "letters and digits only")]
    )
    rest_url = models.URLField(help_text="For example https://api.dhan.co/v2")
    feed_url = models.CharField(
        max_length=200,
        help_text="Order-update socket, for example wss://api-order-update.dhan.co",
        validators=[RegexValidator(r"^wss?://", "must start with ws:// or wss://")],
    )
    stamp_zone = models.CharField(
        max_length=40,
        default="Asia/Kolkata",
        help_text="Zone of the broker's stamps. DhanHQ: Asia/Kolkata live, UTC in the sandbox.",
    )
    enabled = models.BooleanField(default=True)
    armed_until = models.DateTimeField(
        null=True, blank=True, help_text="A live account trades only until this time."
    )
    reconcile_wanted = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["broker", "client_id", "rest_url"], name="one_account_per_endpoint"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def environment(self) -> str:
        """``paper``, ``sandbox`` or ``live``, judged from the address and nothing else."""
        host = urlsplit(self.rest_url).hostname or ""
        if host in LOOPBACK:
            return "paper"
        return "sandbox" if host in SANDBOX_HOSTS else "live"

    def clean(self) -> None:
        """Name the field that is wrong; endpoint and client id are fixed by the first call."""
        if self.stamp_zone not in available_timezones():
            raise ValidationError({"stamp_zone": "Not a time zone; for example Asia/Kolkata."})
        scheme = urlsplit(self.rest_url).scheme
        if scheme not in {"http", "https"}:
            raise ValidationError({"rest_url": "Must start with https:// (paper: http://)."})
        if self.environment == "live" and scheme != "https":
            raise ValidationError({"rest_url": "A live address must start with https://."})
        if self.environment == "live" and not self.feed_url.startswith("wss://"):
            raise ValidationError({"feed_url": "A live feed address must start with wss://."})
        self._refuse_changed_identity()

    def _refuse_changed_identity(self) -> None:
        if self._state.adding:
            return
        stored = BrokerAccount.objects.get(pk=self.pk)
        if stored.name != self.name:
            raise ValidationError({"name": "Fixed: it is also the name of the account's switch."})
        if not self.wire_calls.exists():
            return
        for name in ("broker", "client_id", "rest_url", "feed_url"):
            if getattr(stored, name) != getattr(self, name):
                raise ValidationError(
                    {name: "Fixed, because this account has talked to its broker. Make a new one."}
                )

    def token(self) -> AccessToken | None:
        """The token in force, if there is one."""
        return self.tokens.filter(retired_at__isnull=True).first()


class AccessToken(models.Model):
    """A broker's access token, encrypted. One is in force per account; older ones are kept."""

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="tokens")
    value = EncryptedTextField()
    issued_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: not known.")
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account"],
                condition=models.Q(retired_at__isnull=True),
                name="one_token_in_force_per_account",
            )
        ]

    def __str__(self) -> str:
        return f"token of {self.account} issued {self.issued_at:%Y-%m-%d %H:%M}"

    @property
    def expired(self) -> bool:
        """True once the stated life is over; a token of unknown life is not expired."""
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @classmethod
    def put_in_force(
        cls, account: BrokerAccount, value: str, expires_at: dt.datetime | None = None
    ) -> AccessToken:
        """Retire the token in force and store this one. Call inside a transaction."""
        cls.objects.filter(account=account, retired_at=None).update(retired_at=timezone.now())
        return cls.objects.create(account=account, value=Secret(value), expires_at=expires_at)


class Instrument(models.Model):
    """Something that can be traded. The lot belongs to the contract, not to its index."""

    segment = models.CharField(max_length=20, choices=_choices(Segment))
    security_id = models.CharField(max_length=30)
    symbol = models.CharField(max_length=80, db_index=True)
    name = models.CharField(max_length=160, blank=True)
    kind = models.CharField(max_length=20, help_text="EQUITY, FUTIDX, OPTIDX …")
    isin = models.CharField(max_length=20, blank=True)
    lot_size = models.PositiveIntegerField(help_text="Units per lot.")
    tick_size = models.DecimalField(max_digits=12, decimal_places=4, help_text="Rupees.")
    freeze_quantity = models.PositiveIntegerField(
        null=True, blank=True, help_text="Largest quantity of one order; empty: none stated."
    )
    lower_limit = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    upper_limit = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    underlying = models.CharField(max_length=60, blank=True)
    expiry = models.DateField(null=True, blank=True)
    strike = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    option_type = models.CharField(max_length=2, blank=True)
    tradable = models.BooleanField(default=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["segment", "symbol"]
        constraints = [
            models.UniqueConstraint(
                fields=["segment", "security_id"], name="instrument_is_segment_and_id"
            ),
            models.CheckConstraint(condition=models.Q(lot_size__gt=0), name="lot_is_positive"),
            models.CheckConstraint(condition=models.Q(tick_size__gt=0), name="tick_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.segment}:{self.symbol}"


class Verb(models.TextChoices):
    """What was asked of the broker."""

    PLACE = "PLACE"
    MODIFY = "MODIFY"
    CANCEL = "CANCEL"
    READ = "READ"


class CallOutcome(models.TextChoices):
    """How a call ended. Empty while nobody knows."""

    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    NOT_SENT = "NOT_SENT"
    UNKNOWN = "UNKNOWN"
    ANSWERED = "ANSWERED"
    FAILED = "FAILED"


class WireCall(models.Model):
    """One request to a broker: written before it leaves, completed once, never changed after.

    ``correlation_id`` is the order's own id (a foreign key in the database, like ``permit``).
    """

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="wire_calls")
    verb = models.CharField(max_length=10, choices=Verb.choices)
    what = models.CharField(max_length=40, help_text="The endpoint in our words.")
    budget = models.CharField(max_length=10, help_text="Rate class at the broker.")
    correlation_id = models.CharField(max_length=25, null=True, blank=True, db_index=True)
    permit = models.UUIDField(null=True, blank=True, unique=True)
    endpoint = models.CharField(max_length=200)
    request = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    send_by = models.DateTimeField(help_text="Not one byte leaves after this.")
    boot_id = models.CharField(max_length=40, help_text="Which boot of which machine wrote this.")
    boot_at = models.FloatField(help_text="Seconds since that boot: no clock change moves it.")
    sent_at = models.DateTimeField(null=True, help_text="Just before the first byte could leave.")
    answered_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=CallOutcome.choices, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True)
    broker_order_id = models.CharField(max_length=40, blank=True)
    text = models.TextField(blank=True, help_text="The refusal, or why the outcome is unknown.")
    response = models.JSONField(null=True)
    # Set only by the process that wrote the row, and never read back: the right to transmit.
    boot_deadline: float | None = None

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["account", "budget", "created_at"], name="wirecall_budget"),
            models.Index(
                fields=["account", "created_at"],
                condition=models.Q(outcome=""),
                name="wirecall_open",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["correlation_id"],
                condition=models.Q(verb="PLACE") & ~models.Q(outcome="NOT_SENT"),
                name="one_order_one_place",
            ),
            models.CheckConstraint(
                condition=~models.Q(verb__in=["PLACE", "MODIFY"]) | models.Q(permit__isnull=False),
                name="placing_needs_a_permit",
            ),
            models.CheckConstraint(
                condition=models.Q(verb__in=Verb.values)
                & models.Q(outcome__in=["", *CallOutcome.values]),
                name="words_of_the_journal",
            ),
            models.CheckConstraint(
                condition=models.Q(verb="READ") | models.Q(correlation_id__isnull=False),
                name="sending_is_about_an_order",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.what} #{self.pk}"

    @property
    def duration(self) -> dt.timedelta | None:
        """From the first byte out to the answer."""
        if self.sent_at is None or self.answered_at is None:
            return None
        return self.answered_at - self.sent_at

    def effect_is_over(self, at: dt.datetime, boot_id: str, boot_at: float) -> bool:
        """True when whatever this call did must have shown in the broker's books by then.

        Judged by the boot clock of the same boot, which no change of the time of day can move,
        and by the time of day as well.
        """
        wait = settings.SEND_WITHIN + settings.CALL_TIMEOUT + settings.SETTLE_TIME
        long_ago = at > self.created_at + dt.timedelta(seconds=wait)
        if boot_id != self.boot_id:
            return long_ago
        return long_ago and boot_at > self.boot_at + wait


class FundsReport(models.Model):
    """The last funds read of an account. A failed read changes nothing here."""

    account = models.OneToOneField(BrokerAccount, on_delete=models.CASCADE, related_name="funds")
    as_of = models.DateTimeField()
    available = models.DecimalField(max_digits=18, decimal_places=2)
    utilised = models.DecimalField(max_digits=18, decimal_places=2)
    opening = models.DecimalField(max_digits=18, decimal_places=2)
    collateral = models.DecimalField(max_digits=18, decimal_places=2)

    def __str__(self) -> str:
        return f"{self.available} at {self.as_of:%H:%M:%S}"


class PositionsReport(models.Model):
    """The last position read of an account: one list, replaced as a whole."""

    account = models.OneToOneField(
        BrokerAccount, on_delete=models.CASCADE, related_name="positions"
    )
    as_of = models.DateTimeField()
    mark = models.BigIntegerField(help_text="The moment before the read began.")
    rows = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{len(self.rows)} positions at {self.as_of:%H:%M:%S}"

    def net(self, segment: str, security_id: str, product: str) -> int:
        """Net units in one instrument and product at the time of the read; < 0 is short."""
        return sum(
            int(row["net_quantity"])
            for row in self.rows
            if (row["segment"], row["security_id"], row["product"])
            == (segment, security_id, product)
        )


class Quote(models.Model):
    """The last traded price that the desk has seen, with its age."""

    instrument = models.OneToOneField(Instrument, on_delete=models.CASCADE, related_name="quote")
    last_price = models.DecimalField(max_digits=14, decimal_places=4)
    as_of = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.last_price} at {self.as_of:%H:%M:%S}"
