"""What goes out: one alert in full, or many in one message, so that a storm stays readable."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from apps.alerts.models import Message, Purpose, Severity

LONGEST = 3500  # characters, below what any channel takes
LONGEST_LINE = 200  # characters of each when there are several


def title_of(messages: Sequence[Message]) -> str:
    """One line, for channels that have such a thing."""
    worst = max((Severity(message.severity) for message in messages), key=lambda word: word.rank)
    if len(messages) > 1:
        return f"[desk] {worst}: {len(messages)} alerts"
    if messages[0].purpose == Purpose.ALERT:
        return f"[desk] {worst}: {_line(messages[0].text, 80)}"
    return f"[desk] {messages[0].get_purpose_display()}"


def text_of(messages: Sequence[Message]) -> str:
    """The whole text, at most 3500 characters."""
    if len(messages) > 1:
        return _several(messages)
    message = messages[0]
    if message.purpose != Purpose.ALERT or message.alert is None:
        return _short(message.text, LONGEST)
    return f"{message.severity}: {_short(message.text, LONGEST - 300)}\n{_story(message)}"


def _several(messages: Sequence[Message]) -> str:
    """The worst first: what does not fit is on the desk alone."""
    critical = sum(message.severity == Severity.CRITICAL for message in messages)
    lines = [f"{len(messages)} alerts{f', {critical} CRITICAL' if critical else ''}:"]
    room = LONGEST - 60
    for message in sorted(messages, key=lambda row: -Severity(row.severity).rank):
        line = f"{message.severity}: {_line(message.text, LONGEST_LINE)} (alert {message.alert_id})"
        if room < len(line):
            lines.append(f"… and {len(messages) - len(lines) + 1} more on the desk")
            break
        room -= len(line) + 1
        lines.append(line)
    return "\n".join(lines)


def _story(message: Message) -> str:
    alert = message.alert
    if alert is None:
        return ""
    first = timezone.localtime(alert.first_raised)
    often = f", {alert.times} times" if alert.times > 1 else ""
    story = f"Alert {alert.pk}, first {first:%d %b %H:%M:%S}{often}."
    if not message.step:
        return story
    waited = int((message.created_at - alert.first_raised).total_seconds() // 60)
    return f"{story} Nobody has acknowledged it for {waited} min (step {message.step})."


def _line(text: str, length: int) -> str:
    return _short(" ".join(text.split()), length)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
