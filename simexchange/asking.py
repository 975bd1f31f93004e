"""Reading the bodies of the control API; a bad one is answered with what is allowed."""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from aiohttp import web

from simexchange.inflict import respond
from simexchange.money import read_rupees
from simexchange.replies import Reply


class BadControlError(Exception):
    """The control request cannot be followed; the text names the field and what is allowed."""


class Asked:
    """The JSON object of a control request."""

    def __init__(self, body: object) -> None:
        if not isinstance(body, dict):
            raise BadControlError("body: a JSON object is needed")
        self.body: dict[str, Any] = body

    def only(self, *names: str) -> None:
        """Refuse fields nobody reads: a misspelt one would otherwise do nothing in silence."""
        for name in self.body.keys() - set(names):
            raise BadControlError(f"{name}: unknown field; allowed are {', '.join(names)}")

    def text(self, name: str) -> str:
        value = self.body.get(name)
        if not isinstance(value, str) or not value:
            raise BadControlError(f"{name}: a text is needed")
        return value

    def maybe_text(self, name: str) -> str | None:
        return None if self.body.get(name) is None else self.text(name)

    def choice(self, name: str, allowed: Sequence[str], default: str | None = None) -> str:
        value = self.body.get(name, default)
        if not isinstance(value, str) or value not in allowed:
            raise BadControlError(f"{name}: {value!r} is not one of {', '.join(allowed)}")
        return value

    def flag(self, name: str, default: bool | None = None) -> bool:
        value = self.body.get(name, default)
        if not isinstance(value, bool):
            raise BadControlError(f"{name}: true or false is needed")
        return value

    def days(self, name: str) -> list[date]:
        """A list of days as YYYY-MM-DD; empty when absent."""
        value = self.body.get(name, [])
        try:
            return [date.fromisoformat(day) for day in value]
        except (TypeError, ValueError):
            raise BadControlError(f"{name}: a list of days as 2026-11-24 is needed") from None

    def whole(self, name: str) -> int | None:
        """A whole number above zero, or None when absent."""
        value = self.body.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise BadControlError(f"{name}: a whole number from 1 is needed")
        return value

    def number(self, name: str, least: Decimal, most: Decimal | None = None) -> Decimal | None:
        """A number from `least` to `most`, or None when absent."""
        if self.body.get(name) is None:
            return None
        value = read_rupees(self.body[name])
        if value is None or value < least or (most is not None and value > most):
            limit = "" if most is None else f" to {most}"
            raise BadControlError(f"{name}: a number from {least}{limit} is needed")
        return value

    def rows(self, name: str) -> list[object]:
        value = self.body.get(name)
        if not isinstance(value, list):
            raise BadControlError(f"{name}: a list is needed")
        return value

    def needed_number(self, name: str, least: Decimal) -> Decimal:
        value = self.number(name, least)
        if value is None:
            raise BadControlError(f"{name}: a number from {least} is needed")
        return value


Act = Callable[[Asked, web.Request], object]
"""From what was asked to the JSON answer."""


def route(method: str, path: str, act: Act) -> web.RouteDef:
    async def serve(request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json() if await request.read() else {}
            return respond(Reply(200, act(Asked(body), request)))
        except BadControlError as refusal:
            return respond(Reply(400, {"error": str(refusal)}))
        except ValueError:
            return respond(Reply(400, {"error": "body: JSON is needed"}))

    return web.route(method, f"/_sim/{path}", serve)
