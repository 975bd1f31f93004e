"""What the broker's books and ours disagree on, and the last comparison of each account."""

from __future__ import annotations

import hashlib
import json

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.brokers.models import BrokerAccount


class BreakKind(models.TextChoices):
    """What disagrees."""

    OURS_ONLY = "OURS_ONLY", "Order that the book lacks"
    THEIRS_ONLY = "THEIRS_ONLY", "Order that has no row here"
    STATUS = "STATUS", "Status of an order"
    QUANTITY = "QUANTITY", "Quantity of an order"
    PRICE = "PRICE", "Price of an order"
    FILL_MISSING = "FILL_MISSING", "Fills do not add up"
    FILL = "FILL", "Trade"
    POSITION = "POSITION", "Position"


class Resolution(models.TextChoices):
    """How a break ended."""

    EXPLAINED = "EXPLAINED", "Explained by a person"
    GONE = "GONE", "Gone by itself"


class Break(models.Model):
    """A difference that two comparisons have seen alike. Never deleted.

    ``gone_at`` is set once the books agree; until then an explained one is still there.
    """

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="breaks")
    kind = models.CharField(max_length=12, choices=BreakKind.choices)
    subject = models.CharField(max_length=90, help_text="Order or position by its name.")
    about = models.CharField(max_length=200, help_text="The same in words.")
    ours = models.JSONField(default=dict)
    theirs = models.JSONField(default=dict)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    times_seen = models.PositiveIntegerField(default=2)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    resolution = models.CharField(max_length=10, choices=Resolution.choices, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    resolved_at = models.DateTimeField(null=True)
    gone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("resolve_break", "Can take on and explain breaks")]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind", "subject"],
                condition=models.Q(gone_at=None),
                name="one_break_per_subject",
            ),
            models.CheckConstraint(
                condition=~models.Q(resolution="EXPLAINED")
                | (models.Q(resolved_by__isnull=False) & ~models.Q(reason="")),
                name="people_explain_with_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["account"], condition=models.Q(resolution=""), name="break_open")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.about}"

    @property
    def is_open(self) -> bool:
        """True while nobody has explained it and the books still disagree."""
        return self.resolution == ""

    @property
    def figures(self) -> str:
        """Names what both sides show: whoever explains it says which figures were meant."""
        both = json.dumps([self.ours, self.theirs], sort_keys=True)
        return hashlib.sha256(both.encode()).hexdigest()[:16]


class BreakNote(models.Model):
    """What happened to a break: seen, changed, taken on, explained, gone. Append-only."""

    subject = models.ForeignKey(Break, on_delete=models.PROTECT, related_name="notes")
    at = models.DateTimeField(default=timezone.now)
    actor = models.CharField(max_length=150)
    text = models.TextField()

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.text


class BooksRun(models.Model):
    """The last comparison of an account's books with ours; one row per account.

    ``agreed_at``: when all four books were last read and every difference was a listed break.
    ``suspects`` are differences that only one comparison has seen so far.
    """

    account = models.OneToOneField(
        BrokerAccount, on_delete=models.CASCADE, related_name="books_run"
    )
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    failed = models.CharField(max_length=20, blank=True, help_text="The book that was not read.")
    why = models.CharField(max_length=300, blank=True)
    agreed_at = models.DateTimeField(null=True)
    orders = models.PositiveIntegerField(null=True)
    trades = models.PositiveIntegerField(null=True)
    positions = models.PositiveIntegerField(null=True)
    suspects = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.account} at {self.began_at:%H:%M:%S}"
