"""The real ways in, each from an ask to the key under which the desk has answered for it.

They ask again, under the same key, until the desk answers.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable

import requests
from django.db import Error, connection

from apps.brokers.port import Intent, OrderType, Side, Validity
from apps.orders import services
from apps.orders.models import Order, Source
from apps.orders.services import Actor, OrderIntent
from tests.bench.signals import signed
from tests.chaos.opening import PASSWORD, PERSON, Desk
from tests.chaos.plan import Ask

WHO = Actor(name="chaos")
PATIENCE = 45.0  # seconds in which the desk must have answered an ask
PAUSE = 0.5  # seconds between two tries
_REQUEST_KEY = re.compile(r'name="request_key" value="([0-9a-f]{32})"')
_ANSWERED = re.compile(r"/(order|slices)/")  # the page of the order, or of a whole
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class NotNow(Exception):
    """The desk did not answer, or said that it cannot; the same ask may be made again."""


class NeverAnswered(Exception):
    """The desk gave no answer, and the same ask cannot be made again."""


def signal(desk: Desk, ask: Ask) -> str:
    """A signed signal over HTTP; the retry has the same id."""
    body = json.dumps(_signal(ask)).encode()
    headers = signed(desk.key, body, f"msg_{ask.mark}")
    reply = _http(lambda: _session().post(desk.hook, data=body, headers=headers, timeout=10))
    if reply.status_code != 202:
        raise NotNow(f"{reply.status_code}: {reply.text[:200]}")
    return f"signal:{reply.json()['id']}"


def service(desk: Desk, ask: Ask) -> str:
    """The function that every program of ours calls."""
    try:
        services.place(_intent(desk, ask), WHO, Source.SYSTEM, "chaos", ask.mark)
    except Error as error:
        connection.close()
        raise NotNow(f"{type(error).__name__}: {error}") from error
    return ask.mark


def command(desk: Desk, ask: Ask) -> str:
    """``manage.py place_order``, whose answer is a row or nothing."""
    done = desk.house.manage("place_order", ask.account, "--json", "--key", ask.mark, *_words(ask))
    if not done.stdout:
        raise NotNow(done.stderr[-300:])
    return ask.mark


def form(desk: Desk, ask: Ask) -> str:
    """The page: fill in, look at it once more, send; signed in with a password."""
    session = _signed_in(desk)
    page = f"{desk.house.url}/admin/place/"
    fields = _fields(desk, ask)
    asked = _http(lambda: session.post(page, fields, headers={"Referer": page}, timeout=15))
    key = _REQUEST_KEY.search(asked.text)
    if key is None:
        _forget_session()
        raise NotNow(f"{asked.status_code}: the page did not ask for a second look")
    sure = fields | {"confirmed": "1", "request_key": key.group(1)}
    return _send_form(session, page, sure)


WAYS: dict[str, Callable[[Desk, Ask], str]] = {
    "signal": signal,
    "service": service,
    "command": command,
    "form": form,
}


def ask_until_answered(desk: Desk, ask: Ask) -> str | None:
    """The key under which the desk has the order, or None: no answer within the patience."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            return WAYS[ask.way](desk, ask)
        except NotNow:
            time.sleep(PAUSE)
        except NeverAnswered:
            return None
    return None


_own = threading.local()  # a connection of its own for each thread, kept open


def _session() -> requests.Session:
    if not hasattr(_own, "session"):
        _own.session, _own.inside = requests.Session(), False
    return _own.session


def _forget_session() -> None:
    _own.__dict__.clear()


def _http(ask: Callable[[], requests.Response]) -> requests.Response:
    try:
        return ask()
    except requests.RequestException as error:
        raise NotNow(type(error).__name__) from error


def _signed_in(desk: Desk) -> requests.Session:
    session = _session()
    if not _own.inside:
        page = f"{desk.house.url}/admin/login/"
        shown = _http(lambda: session.get(page, timeout=15))
        token = _TOKEN.search(shown.text)
        if token is None:
            raise NotNow(f"{shown.status_code}: no form to sign in")
        said = {"username": PERSON, "password": PASSWORD, "csrfmiddlewaretoken": token.group(1)}
        answer = _http(
            lambda: session.post(
                page, said, headers={"Referer": page}, timeout=15, allow_redirects=False
            )
        )
        if answer.status_code != 302:
            raise NotNow(f"{answer.status_code}: not signed in")
        _own.inside = True
    session.headers["X-CSRFToken"] = session.cookies.get("csrftoken", "")
    return session


def _send_form(session: requests.Session, page: str, sure: dict[str, str]) -> str:
    """Press the button until it is answered: the same key never places a second order.

    A new look at the form would bring a new key, and so another order.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            sent = _http(
                lambda: session.post(
                    page, sure, headers={"Referer": page}, timeout=15, allow_redirects=False
                )
            )
        except NotNow:
            time.sleep(PAUSE)
            continue
        if sent.status_code == 302 and _ANSWERED.search(sent.headers["Location"]):
            return sure["request_key"]
        time.sleep(PAUSE)
    raise NeverAnswered


def _intent(desk: Desk, ask: Ask) -> OrderIntent:
    return OrderIntent(
        account=desk.accounts[ask.account],
        instrument=desk.instruments[ask.instrument],
        side=Side(ask.side),
        quantity=ask.quantity,
        order_type=OrderType(ask.order_type),
        price=ask.price,
        trigger_price=ask.trigger_price,
        validity=Validity(ask.validity),
        intent=Intent(ask.intent),
        strategy=ask.mark,
    )


def _signal(ask: Ask) -> dict[str, str]:
    told = {
        "account": ask.account,
        "instrument": ask.instrument,
        "side": ask.side,
        "quantity": str(ask.quantity),
        "type": ask.order_type,
        "price": _text(ask.price),
        "trigger_price": _text(ask.trigger_price),
        "validity": ask.validity,
        "intent": ask.intent,
        "strategy": ask.mark,
    }
    return {name: value for name, value in told.items() if value}


def _fields(desk: Desk, ask: Ask) -> dict[str, str]:
    return {
        "account": str(desk.accounts[ask.account].pk),
        "instrument": ask.instrument,
        "side": ask.side,
        "quantity": str(ask.quantity),
        "order_type": ask.order_type,
        "price": _text(ask.price),
        "trigger_price": _text(ask.trigger_price),
        "product": "INTRADAY",
        "validity": ask.validity,
        "intent": ask.intent,
        "strategy": ask.mark,
        "reason": "chaos",
    }


def _words(ask: Ask) -> list[str]:
    words = ["--instrument", ask.instrument, "--side", ask.side, "--strategy", ask.mark]
    words += ["--quantity", str(ask.quantity), "--type", ask.order_type]
    words += ["--validity", ask.validity, "--intent", ask.intent]
    for name, value in (("--price", ask.price), ("--trigger-price", ask.trigger_price)):
        words += [name, str(value)] if value is not None else []
    return words


def _text(value: object) -> str:
    return "" if value is None else str(value)


def order_of(mark: str) -> Order | None:
    """The order that was asked for under this mark, if the desk has one."""
    mine = Order.objects.filter(strategy=mark, request_key__isnull=False)
    return mine.select_related("account", "instrument").order_by("pk").first()
