"""The process that speaks to people outside: one thread per channel, and one that spreads alerts.

It needs PostgreSQL and nothing else, so it goes on when Redis and the workers are gone. A channel
that hangs holds up its own thread and no other; no lock of it is one that trading waits for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import Error, connection
from django.utils.module_loading import import_string

from apps.alerts import addresses, apprise_line, composing, outbox, telegram
from apps.alerts.models import Channel, Kind, Message
from apps.alerts.raising import sign_of_life
from apps.alerts.spreading import spread
from apps.alerts.trouble import Trouble

log = structlog.get_logger(__name__)
OWN_NAME = "alerts"
LAST_WORDS = 0.8  # seconds that a stop leaves for what is being said
TRIES = 6  # for writing down what became of a message

ShouldStop = Callable[[], bool]
Work = Callable[[], object]


def deliver(should_stop: ShouldStop) -> None:
    """Run until ``should_stop``."""
    threads: dict[str, threading.Thread] = {}
    while not should_stop():
        _quietly(spread)
        _quietly(lambda: _keep(threads, should_stop))
        _quietly(lambda: sign_of_life(OWN_NAME))
        time.sleep(settings.ALERTS_EVERY)
    deadline = time.monotonic() + LAST_WORDS
    for thread in threads.values():
        thread.join(max(deadline - time.monotonic(), 0))


def work_off(channel_id: int) -> bool:
    """Say what is due on one channel; True when something was tried."""
    rows = outbox.claim(channel_id)
    if not rows:
        return False
    channel = rows[0].channel
    trouble = _try(channel, [row.message for row in rows])
    if trouble is None:
        _write_down(lambda: outbox.delivered(rows))
    else:
        log.warning("not delivered", channel=channel.name, why=str(trouble))
        _write_down(lambda: outbox.failed(rows, trouble))
    return True


def _try(channel: Channel, messages: list[Message]) -> Trouble | None:
    """Say it; why it could not be said. A fault of our own is trouble too, so that it is seen."""
    try:
        say(channel, messages)
    except Trouble as trouble:
        return trouble
    except Exception as error:
        log.exception("saying broke", channel=channel.name)
        return Trouble(f"a fault of the desk itself ({type(error).__name__})")
    return None


def say(channel: Channel, messages: list[Message]) -> None:
    """Speak on a channel, now, outside of any transaction. Raises ``Trouble``."""
    if connection.in_atomic_block:
        raise RuntimeError("nothing is said inside a transaction: it could not be taken back")
    title, text = composing.title_of(messages), composing.text_of(messages)
    within = settings.ALERT_SEND_TIMEOUT
    if channel.kind == Kind.TELEGRAM:
        to = addresses.telegram_of(channel)
        telegram.send_message(to.token, to.chat, text, within)
    else:
        apprise_line.notify(addresses.address_of(channel), title, text, within)


def _write_down(settle: Callable[[], None]) -> None:
    """A database that restarts just now must not make us say it twice."""
    for attempt in range(TRIES):
        try:
            settle()
        except Error as error:
            log.warning("what was said waits for the database", error=type(error).__name__)
            connection.close()
            time.sleep(0.2 * 2**attempt)
        else:
            return
    settle()


def _keep(threads: dict[str, threading.Thread], should_stop: ShouldStop) -> None:
    """One thread for every channel in use, and one for what parts above have to say."""
    wanted: dict[str, Work] = {"also": _also}
    for pk in Channel.objects.filter(enabled=True).values_list("pk", flat=True):
        wanted[f"channel-{pk}"] = _line_of(pk)
    for name, work in wanted.items():
        if name not in threads or not threads[name].is_alive():
            threads[name] = threading.Thread(
                target=_repeat, args=[work, should_stop], name=name, daemon=True
            )
            threads[name].start()


def _repeat(work: Work, should_stop: ShouldStop) -> None:
    """Until told to stop, or until the work says that it is over."""
    try:
        while not should_stop() and _quietly(work) is not _OVER:
            time.sleep(settings.ALERTS_EVERY)
    finally:
        connection.close()


_OVER = object()


def _line_of(channel_id: int) -> Work:
    def line() -> object:
        in_use = Channel.objects.filter(pk=channel_id, enabled=True).exists()
        return work_off(channel_id) if in_use else _OVER

    return line


def _also() -> None:
    """Let parts above the alerts say what is due (``DELIVER_ALSO``)."""
    for step in settings.DELIVER_ALSO:
        _quietly(import_string(step))


def _quietly(work: Work) -> object:
    """What breaks is recorded; the next turn comes, and the other work goes on."""
    try:
        return work()
    except Exception:
        log.exception("alerts: a turn broke")
        connection.close_if_unusable_or_obsolete()
        return None
