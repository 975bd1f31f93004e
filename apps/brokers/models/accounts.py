"""Accounts at brokers and their tokens."""

from __future__ import annotations

import datetime as dt
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from apps.alerts.secrets import EncryptedTextField, Secret
from apps.brokers.jwt import claimed_end
from apps.brokers.port import Market
from apps.brokers.rows import read_row

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
SANDBOX_HOSTS = {"sandbox.dhan.co"}
# The same hosts for the database, which refuses whatever it is not sure about.
_NOT_LIVE = r"^https?://(127\.0\.0\.1|localhost|\[::1\]|sandbox\.dhan\.co)(:[0-9]+)?(/|$)"


def environment_of(rest_url: str) -> str:
    """``paper``, ``sandbox`` or ``live``: what is not known is live."""
    host = urlsplit(rest_url).hostname or ""
    if host in LOOPBACK:
        return "paper"
    return "sandbox" if host in SANDBOX_HOSTS else "live"


class BrokerKind(models.TextChoices):
    """Brokers with an adapter."""

    DHAN = "dhan", "DhanHQ"


class CalendarKind(models.TextChoices):
    """Whose hours an account follows."""

    EXCHANGE = "exchange", "The exchange's hours and holidays"
    ALWAYS_OPEN = "always_open", "Always open (simulated exchange)"


class BracketStyle(models.TextChoices):
    """Who may keep an account's brackets."""

    AUTOMATIC = "AUTOMATIC", "As the broker can"
    MANAGED = "MANAGED", "Always by the desk"


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
    market_feed_url = models.CharField(
        max_length=200,
        blank=True,
        help_text="Socket of prices, for example wss://api-feed.dhan.co; one account is enough for "
        "the desk. Empty: prices do not come from this account.",
        validators=[RegexValidator(r"^wss?://", "must start with ws:// or wss://")],
    )
    stamp_zone = models.CharField(
        max_length=40,
        default="Asia/Kolkata",
        help_text="Zone of the broker's stamps. DhanHQ: Asia/Kolkata live, UTC in the sandbox.",
    )
    calendar = models.CharField(
        max_length=20,
        choices=CalendarKind.choices,
        default=CalendarKind.EXCHANGE,
        help_text="Only a simulated exchange or a sandbox can be open at any hour.",
    )
    bracket_style = models.CharField(
        "brackets",
        max_length=10,
        choices=BracketStyle.choices,
        default=BracketStyle.AUTOMATIC,
        help_text="A bracket that the broker keeps is protected while the desk is down. One that "
        "the desk keeps also works where the broker keeps none, and needs the desk to be up. "
        "Counts for new brackets.",
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
            ),
            models.CheckConstraint(
                condition=models.Q(calendar="exchange") | models.Q(rest_url__iregex=_NOT_LIVE),
                name="live_accounts_follow_the_exchange",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def environment(self) -> str:
        """``paper``, ``sandbox`` or ``live``, judged from the address and nothing else."""
        return environment_of(self.rest_url)

    @property
    def market(self) -> Market:
        """Whose prices matter to this account: the real ones, or those of the simulation."""
        return Market.SIMULATED if self.environment == "paper" else Market.REAL

    @property
    def gives_quotes(self) -> bool:
        """True when the account's own market can be heard on its token."""
        host = urlsplit(self.market_feed_url).hostname or ""
        simulated = Market.SIMULATED if host in LOOPBACK else Market.REAL
        return bool(host) and simulated is self.market

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
        if self.environment == "live" and self.calendar != CalendarKind.EXCHANGE:
            raise ValidationError({"calendar": "A live account follows the exchange's hours."})
        self._check_market_feed()
        self._refuse_changed_identity()

    def _check_market_feed(self) -> None:
        """The token travels in this address, and its prices decide what orders are sent at."""
        if not self.market_feed_url:
            return
        if not self.gives_quotes:
            problem = "Prices of a simulation and real accounts do not mix, nor the other way."
            raise ValidationError({"market_feed_url": problem})
        if self.market is Market.REAL and not self.market_feed_url.startswith("wss://"):
            problem = "A real market's address must start with wss://."
            raise ValidationError({"market_feed_url": problem})

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
        return read_row(AccessToken, "account_id = %s AND retired_at IS NULL", [self.pk])


class TokenSource(models.TextChoices):
    """How a token came to us, which decides how the next one can."""

    STORED = "STORED", "stored by a person"
    RENEWED = "RENEWED", "renewed"
    LOGIN = "LOGIN", "login with PIN and TOTP"
    CONSENT = "CONSENT", "login in the browser"


class AccessToken(models.Model):
    """A broker's access token, encrypted. One is in force per account; older ones are kept."""

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="tokens")
    value = EncryptedTextField()
    source = models.CharField(
        max_length=10, choices=TokenSource.choices, default=TokenSource.STORED
    )
    issued_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: not known.")
    retired_at = models.DateTimeField(null=True, blank=True)
    learned_at = models.DateTimeField(
        null=True, blank=True, help_text="When the broker was asked how long it lives."
    )
    renewable = models.BooleanField(default=True, help_text="False: the broker does not renew it.")
    warned = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="The last warning given: minutes before its end."
    )

    class Meta:
        permissions = [("obtain_token", "Can renew a token and log in at the broker")]
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

    @property
    def can_be_renewed(self) -> bool:
        """The broker renews only what was made on its web page, and in its sandbox nothing."""
        by_asking = {TokenSource.STORED.value, TokenSource.RENEWED.value}
        return self.renewable and self.source in by_asking and self.account.environment != "sandbox"

    @classmethod
    def put_in_force(
        cls,
        account: BrokerAccount,
        value: str,
        expires_at: dt.datetime | None = None,
        source: str = TokenSource.STORED,
    ) -> AccessToken:
        """Retire the token in force and store this one. Call inside a transaction.

        It ends at the earlier of what we are told and what it says of itself.
        """
        ends = [end for end in (expires_at, claimed_end(value)) if end is not None]
        cls.objects.filter(account=account, retired_at=None).update(retired_at=timezone.now())
        return cls.objects.create(
            account=account,
            value=Secret(value),
            expires_at=min(ends, default=None),
            source=source,
        )
