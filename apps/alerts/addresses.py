"""The address of a channel: one secret URL, read here and shown nowhere."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured

from apps.alerts import apprise_line
from apps.alerts.models import Channel, Kind
from apps.alerts.telegram import TOKEN
from apps.alerts.trouble import Trouble

_TELEGRAM = re.compile(rf"tgram://(?:bot)?({TOKEN})/(-?\d+|@\w+)/?", re.ASCII)
_EMAIL = re.compile(r"mailtos?://", re.ASCII)
EXAMPLES = {
    Kind.TELEGRAM: "tgram://BOT-TOKEN/CHAT-ID",
    Kind.EMAIL: "mailtos://USER:PASSWORD@smtp.example.com?from=desk@example.com&to=me@example.com",
    Kind.OTHER: "see https://appriseit.com for the address of each service",
}


@dataclass(frozen=True)
class TelegramAddress:
    """A bot and the chat in which it speaks."""

    token: str
    chat: str

    @property
    def bot_id(self) -> int:
        """The public half of the token: it names the bot and opens nothing."""
        return int(self.token.partition(":")[0])


def address_of(channel: Channel) -> str:
    """The whole address. Raises ``Trouble`` when it was stored with a key that is gone."""
    try:
        return channel.address
    except ImproperlyConfigured as error:
        raise Trouble(f"the address cannot be read: {error}", permanent=True) from None


def telegram_of(channel: Channel) -> TelegramAddress:
    """Bot and chat of a Telegram channel. Raises ``Trouble`` when it has no such address."""
    found = _TELEGRAM.fullmatch(address_of(channel))
    if found is None:
        raise Trouble("the address is no Telegram address", permanent=True)
    return TelegramAddress(found[1], found[2])


def what_is_wrong(kind: str, address: str) -> str:
    """Why this cannot be an address of this kind, without showing it; empty when it can."""
    example = f"Write it like {EXAMPLES[Kind(kind)]}."
    if kind == Kind.TELEGRAM:
        return "" if _TELEGRAM.fullmatch(address) else f"No Telegram address. {example}"
    if kind == Kind.EMAIL and not _EMAIL.match(address):
        return f"No e-mail address. {example}"
    if kind == Kind.OTHER and address.startswith(("tgram:", "telegram:")):
        return "Choose the kind Telegram for this address."
    try:
        known = apprise_line.knows(address)
    except Trouble as trouble:
        return f"It could not be checked: {trouble}. Try again."
    return "" if known else f"This address is not understood. {example}"
