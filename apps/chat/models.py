"""Who may talk to the desk over Telegram, and every word that was heard."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class TelegramUser(models.Model):
    """A person of Telegram who is a person of the desk, in one chat."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="What this person may do here, they may do there; nothing more.",
    )
    telegram_id = models.BigIntegerField(
        "Telegram user id",
        help_text="A number. Let the person write to the bot: the alert that follows names it.",
    )
    chat_id = models.BigIntegerField(
        blank=True,
        help_text="The chat in which commands count. Empty: the private chat with the bot.",
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["user__username"]
        constraints = [
            models.UniqueConstraint(
                fields=["telegram_id", "chat_id"], name="one_person_per_telegram_user_and_chat"
            ),
            models.CheckConstraint(
                condition=models.Q(telegram_id__gt=0), name="telegram_users_are_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.telegram_id}"


class TelegramBot(models.Model):
    """How far a bot's messages were heard. ``bot_id`` is the public half of its token."""

    bot_id = models.BigIntegerField(primary_key=True)
    offset = models.BigIntegerField(default=0, help_text="The next message to ask for.")
    heard_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"bot {self.bot_id}"


class Outcome(models.TextChoices):
    """What became of a command."""

    DONE = "DONE"
    REFUSED = "REFUSED"
    MISREAD = "MISREAD", "Not understood"
    TOO_OLD = "TOO_OLD", "Too old"
    STRANGER = "STRANGER", "From a stranger"
    FAILED = "FAILED"


OUTCOME_TONES = {
    "": "wait",
    Outcome.DONE: "good",
    Outcome.REFUSED: "bad",
    Outcome.MISREAD: "quiet",
    Outcome.TOO_OLD: "bad",
    Outcome.STRANGER: "alarm",
    Outcome.FAILED: "alarm",
}


class TelegramCommand(models.Model):
    """One message to a bot: stored before it is acted on, completed once, never changed after."""

    bot = models.ForeignKey(TelegramBot, on_delete=models.PROTECT, related_name="commands")
    update_id = models.BigIntegerField()
    telegram_id = models.BigIntegerField()
    chat_id = models.BigIntegerField()
    said_name = models.CharField(max_length=80, blank=True, help_text="As Telegram calls them.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    text = models.CharField(max_length=500)
    sent_at = models.DateTimeField(help_text="Telegram's time.")
    heard_at = models.DateTimeField(default=timezone.now)

    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)
    answer = models.TextField(blank=True)
    answered_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True, help_text="When Telegram took the answer.")
    not_told = models.CharField(max_length=300, blank=True, help_text="Why it was not told.")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["bot", "update_id"], name="a_command_is_heard_once")
        ]
        indexes = [
            models.Index(
                fields=["bot"],
                condition=models.Q(told_at=None, not_told=""),
                name="command_not_told",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user or self.telegram_id}: {self.text}"
