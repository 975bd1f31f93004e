"""What is known of an account's session at its broker, and what it takes to get a new one."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.alerts.secrets import EncryptedTextField
from apps.brokers.models.accounts import AccessToken, BrokerAccount
from apps.brokers.models.journal import WireCall


class BrokerSession(models.Model):
    """The newest news of one account's session: one row, overwritten. The journal has the past.

    ``minting`` is the call that asked for a new token and whose answer is not known (yet): while
    it is set, nobody can say which token counts. A refusal speaks of one token only.
    """

    account = models.OneToOneField(BrokerAccount, on_delete=models.CASCADE, related_name="session")
    accepted_at = models.DateTimeField(null=True, help_text="When the broker last let us in.")
    refused_token = models.ForeignKey(
        AccessToken, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    refused_at = models.DateTimeField(null=True, help_text="First refusal of that token.")
    refused_last = models.DateTimeField(
        null=True, help_text="Latest refusal of that token; empty: refused once so far."
    )
    refused_text = models.CharField(max_length=300, blank=True)
    address_refused_at = models.DateTimeField(null=True, help_text="First refusal of our address.")
    address_refused_last = models.DateTimeField(null=True)
    address_text = models.CharField(max_length=300, blank=True)
    address_checked_at = models.DateTimeField(null=True)
    egress = models.CharField(
        max_length=45, blank=True, help_text="Our address as the broker last saw it."
    )
    clock_offset = models.FloatField(
        null=True, help_text="Seconds by which the broker's clock is ahead of ours."
    )
    clock_at = models.DateTimeField(null=True)
    minting = models.ForeignKey(WireCall, null=True, on_delete=models.PROTECT, related_name="+")
    probed_at = models.DateTimeField(null=True, help_text="When somebody last looked on purpose.")
    next_try_at = models.DateTimeField(null=True, help_text="No new token is asked for before.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Tries in a row that failed.")
    failure_text = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"session of {self.account}"


class LoginCredentials(models.Model):
    """What a login at the broker takes, encrypted. Written by people, shown to nobody.

    PIN and TOTP secret serve a login without a person; app id and secret one in the browser. A
    permanent refusal stops logins until a person writes new ones.
    """

    account = models.OneToOneField(BrokerAccount, on_delete=models.CASCADE, related_name="login")
    auth_url = models.URLField(help_text="For example https://auth.dhan.co")
    pin = EncryptedTextField(blank=True)
    totp_secret = EncryptedTextField(blank=True)
    app_id = EncryptedTextField(blank=True)
    app_secret = EncryptedTextField(blank=True)
    totp_step = models.BigIntegerField(
        null=True, help_text="The last half minute whose code was used: a code counts once."
    )
    refused_codes = models.PositiveSmallIntegerField(
        default=0, help_text="One-time codes refused in a row."
    )
    stopped_at = models.DateTimeField(null=True)
    stopped_text = models.CharField(max_length=300, blank=True)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "login credentials"

    def __str__(self) -> str:
        return f"login of {self.account}"

    @property
    def by_itself(self) -> bool:
        """True when a login needs no person."""
        return bool(self.pin and self.totp_secret)

    @property
    def in_browser(self) -> bool:
        """True when a person can log in at the broker's own page."""
        return bool(self.app_id and self.app_secret)


class Consent(models.Model):
    """One login in the browser: begun by one person, good once and for a few minutes.

    Only a hash of its state is kept; the state itself is in that person's session.
    """

    account = models.ForeignKey(BrokerAccount, on_delete=models.CASCADE, related_name="consents")
    state_hash = models.CharField(max_length=64, unique=True)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    asked_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"login of {self.account} begun {self.asked_at:%Y-%m-%d %H:%M}"

    @property
    def ends_at(self) -> dt.datetime:
        """Until when it can be completed."""
        return self.asked_at + dt.timedelta(seconds=settings.CONSENT_LIFETIME)
