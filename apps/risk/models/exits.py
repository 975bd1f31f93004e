"""What must be closed: a goal lives until the position proves it; orders are its attempts."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.brokers.models import BrokerAccount, Instrument


class GoalState(models.TextChoices):
    """Where a goal is. ``STOPPED`` waits for people; the last three are its end."""

    WORKING = "WORKING", "Working"
    STOPPED = "STOPPED", "Stopped: people must look"
    REACHED = "REACHED", "Reached, proved by two reads"
    WITHDRAWN = "WITHDRAWN", "Withdrawn"


class ExitGoal(models.Model):
    """A position is to come down to ``target``, whatever becomes of the single orders.

    ``owner`` names whose part of the position; empty is all of it.
    """

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="exit_goals")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    product = models.CharField(max_length=10)
    owner = models.CharField(max_length=90, blank=True, default="")
    target = models.IntegerField(default=0, help_text="Net units to come down to.")
    holdings = models.BooleanField(
        default=False, help_text="What was delivered on an earlier day is sold, too."
    )
    state = models.CharField(
        max_length=10, choices=GoalState.choices, default=GoalState.WORKING.value
    )
    note = models.CharField(max_length=400, blank=True, help_text="What it does or waits for.")
    reason = models.CharField(max_length=300)
    actor = models.CharField(max_length=150)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    net = models.IntegerField(null=True, help_text="Net units at the last read.")
    sign = models.SmallIntegerField(default=0, help_text="Side of the last position that was one.")
    flips = models.PositiveIntegerField(default=0, help_text="How often the position turned round.")
    attempts = models.PositiveIntegerField(default=0, help_text="Orders asked for so far.")
    denials = models.PositiveIntegerField(default=0, help_text="In a row.")
    proofs = models.JSONField(default=list, help_text="Reads that show it, two are needed.")
    waits_since = models.DateTimeField(null=True, help_text="Since when it can only wait.")
    not_before = models.DateTimeField(null=True, help_text="No further order before this.")
    opened_at = models.DateTimeField(default=timezone.now)
    deadline_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("flatten", "Can close positions and withdraw the closing")]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "instrument", "product", "owner"],
                condition=models.Q(state__in=["WORKING", "STOPPED"]),
                name="one_open_goal_per_position",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=GoalState.values), name="states_of_a_goal"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument.symbol} to {self.target} on {self.account.name}"

    @property
    def over(self) -> bool:
        """True once nothing more is done for it."""
        return self.state in {GoalState.REACHED, GoalState.WITHDRAWN}

    @property
    def key_prefix(self) -> str:
        """How the request keys of its orders begin."""
        return f"goal:{self.pk}:"


class GoalNote(models.Model):
    """What happened to a goal, in order; never changed."""

    goal = models.ForeignKey(ExitGoal, on_delete=models.PROTECT, related_name="notes")
    at = models.DateTimeField(default=timezone.now)
    text = models.CharField(max_length=400)
    facts = models.JSONField(default=dict)

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.text
