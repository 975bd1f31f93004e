"""What takes two people."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class Verdict(models.TextChoices):
    """How an approval ended. Only the first two are a person's decision."""

    APPROVED = "APPROVED", "Approved"
    REFUSED = "REFUSED", "Refused"
    EXPIRED = "EXPIRED", "Expired"
    WITHDRAWN = "WITHDRAWN", "Withdrawn"


_BY_A_PERSON = models.Q(decision__in=["APPROVED", "REFUSED"])


class Approval(models.Model):
    """What one person asked for and another must decide. It ends once and never changes again."""

    kind = models.CharField(max_length=20)
    subject = models.CharField(max_length=60, help_text="What it is about, by its own name.")
    payload = models.JSONField(default=dict)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(max_length=300)
    requested_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    decision = models.CharField(max_length=10, choices=Verdict.choices, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    decision_reason = models.CharField(max_length=400, blank=True)
    executed_at = models.DateTimeField(null=True)
    result = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("decide_approval", "Can approve or refuse what others ask for")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(decided_by=None)
                | ~models.Q(decided_by=models.F("requested_by")),
                name="maker_is_not_checker",
            ),
            models.CheckConstraint(
                condition=(_BY_A_PERSON & models.Q(decided_by__isnull=False))
                | (~_BY_A_PERSON & models.Q(decided_by=None)),
                name="people_approve_and_refuse",
            ),
            models.CheckConstraint(
                condition=~models.Q(decision="APPROVED")
                | models.Q(decided_at__lte=models.F("expires_at")),
                name="approved_before_expiry",
            ),
            models.CheckConstraint(
                condition=models.Q(executed_at=None) | models.Q(decision="APPROVED"),
                name="only_what_is_approved_is_done",
            ),
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=models.Q(decision=""),
                name="one_waiting_approval_per_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind.lower()} {self.subject}"

    @property
    def waiting(self) -> bool:
        """True while somebody may still decide."""
        return self.decision == "" and self.expires_at > timezone.now()
