"""Channels to people outside, what is to be said on them, and what became of it."""

from __future__ import annotations

import datetime as dt

from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from apps.alerts.models.alerts import Alert, Severity
from apps.alerts.secrets import EncryptedTextField


class Kind(models.TextChoices):
    """How a channel is reached."""

    TELEGRAM = "telegram", "Telegram"
    EMAIL = "email", "E-mail"
    OTHER = "other", "Other (any address that apprise knows)"


class ChannelManager(models.Manager["Channel"]):
    """Leaves the address where it is until somebody asks for it: it is a secret, and one that
    cannot be decrypted must not take the other channels with it."""

    def get_queryset(self) -> models.QuerySet[Channel]:
        """Without the address."""
        return super().get_queryset().defer("address")


class Channel(models.Model):
    """One way to people. Its address is a secret; how it does is written by the delivery."""

    name = models.SlugField(max_length=40, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    address = EncryptedTextField()
    min_severity = models.CharField(
        max_length=10,
        choices=Severity.choices,
        default=Severity.WARNING,
        help_text="Milder alerts are not sent here.",
    )
    step = models.PositiveSmallIntegerField(
        default=0,
        help_text="0 hears alerts at once. Higher: only critical ones that nobody acknowledged "
        "before that step of the escalation.",
    )
    enabled = models.BooleanField(default=True)
    commands = models.BooleanField(
        default=False, help_text="Telegram: linked people may send commands to this bot."
    )
    heartbeat_minutes = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Say every so many minutes how the desk does; whoever watches notices its "
        "absence. Empty: never.",
    )
    reports = models.BooleanField(
        default=False, help_text="Send the strategy report in market hours, and the day's end."
    )
    failures = models.PositiveIntegerField(default=0, editable=False)
    dead_since = models.DateTimeField(null=True, editable=False)
    not_before = models.DateTimeField(null=True, editable=False)
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    last_delivered_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ChannelManager()

    class Meta:
        ordering = ["step", "name"]
        base_manager_name = "objects"
        permissions = [("test_channel", "Can send a test message")]

    def __str__(self) -> str:
        return self.name

    @property
    def own_alert(self) -> str:
        """The key of the alert that says this channel is dead; it never goes through it."""
        return f"channel:{self.pk}"


class EscalationStep(models.Model):
    """What follows when nobody acknowledges a critical alert."""

    number = models.PositiveSmallIntegerField(unique=True, validators=[MinValueValidator(1)])
    minutes = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1)],
        help_text="Minutes after the step before (step 0 is the first message).",
    )

    class Meta:
        ordering = ["number"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(number__gte=1, minutes__gte=1), name="steps_take_time"
            )
        ]

    def __str__(self) -> str:
        return f"step {self.number}, after {self.minutes} min"


class Purpose(models.TextChoices):
    """Why something is said."""

    ALERT = "ALERT"
    TEST = "TEST", "Test message"
    HEARTBEAT = "HEARTBEAT"
    REPORT = "REPORT"


class Message(models.Model):
    """One thing to say, once; ``slot`` keeps two processes from saying it twice."""

    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    slot = models.CharField(max_length=120, unique=True)
    alert = models.ForeignKey(Alert, null=True, on_delete=models.PROTECT, related_name="messages")
    step = models.PositiveSmallIntegerField(default=0)
    severity = models.CharField(max_length=10, choices=Severity.choices, default=Severity.INFO)
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(help_text="Nobody needs it after this.")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [models.Index(fields=["alert", "-id"], name="message_of_alert")]

    def __str__(self) -> str:
        return f"{self.purpose.lower()} {self.slot}"


class DeliveryState(models.TextChoices):
    """Where a message is on its way to one channel."""

    WAITING = "WAITING"
    SENDING = "SENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED", "Given up"
    DROPPED = "DROPPED", "No longer needed"


UNDER_WAY = (DeliveryState.WAITING, DeliveryState.SENDING)


class Delivery(models.Model):
    """One message on one channel. SENDING with ``next_try_at`` in the past: its sender died."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="deliveries")
    state = models.CharField(
        max_length=10, choices=DeliveryState.choices, default=DeliveryState.WAITING
    )
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["message", "channel"], name="said_once_per_channel")
        ]
        indexes = [
            models.Index(
                fields=["channel", "next_try_at"],
                condition=models.Q(state__in=[word.value for word in UNDER_WAY]),
                name="delivery_under_way",
            )
        ]

    def __str__(self) -> str:
        return f"{self.message} on {self.channel}"

    @property
    def took(self) -> dt.timedelta | None:
        """From the message to its end on this channel."""
        return None if self.settled_at is None else self.settled_at - self.created_at
