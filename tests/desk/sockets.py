"""A page without a browser: it speaks the socket's protocol and applies what it hears."""

from __future__ import annotations

from html.parser import HTMLParser

from channels.testing import WebsocketCommunicator
from django.test import Client

from tradingops.asgi import application


def socket_of(client):
    """A socket with the cookies of a signed-in browser."""
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    headers = [
        (b"cookie", cookies.encode()),
        (b"origin", b"http://localhost"),
        (b"host", b"localhost"),
    ]
    return WebsocketCommunicator(application, "/ws/orders/", headers=headers)


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


class _Units(HTMLParser):
    """The units of a page, each as the list of what the parser meets in it."""

    def __init__(self):
        super().__init__()
        self.units, self.unit = [], None

    def handle_starttag(self, tag, attrs):
        if tag == "tbody" and "data-unit" in (said := dict(attrs)):
            self.unit = []
            self.units.append((said["data-unit"], int(said["data-seq"]), self.unit))
        if self.unit is not None:
            self.unit.append((tag, sorted(attrs)))

    def handle_endtag(self, tag):
        if self.unit is not None:
            self.unit.append(tag)
        if tag == "tbody":
            self.unit = None

    def handle_data(self, data):
        if self.unit is not None and data.strip():
            self.unit.append(data.strip())


def units_in(html):
    parser = _Units()
    parser.feed(html)
    return parser.units


class Page:
    """What the browser's module does, in few words: units by name, change numbers by account."""

    def __init__(self, html, seen):
        self.units = {key: (seq, unit) for key, seq, unit in units_in(html)}
        self.seen = dict(seen)

    def take(self, message):
        """Apply one message; the answer is True when something is missing before it."""
        kind = message["type"]
        if kind == "snapshot":
            units = units_in("".join(row["html"] for row in message["rows"]))
            self.units = {key: (seq, unit) for key, seq, unit in units}
            self.seen = {int(account): seq for account, seq in message["seq"].items()}
        elif kind == "upto":
            self.seen |= {int(account): seq for account, seq in message["seq"].items()}
        elif kind == "row":
            return self._row(message)
        return False

    def _row(self, message):
        account, seq = message["account"], message["seq"]
        if message["after"] > self.seen.get(account, 0):
            return True
        self.seen[account] = max(seq, self.seen.get(account, 0))
        if self.units.get(message["id"], (-1, None))[0] >= seq:
            return False
        if message["html"] is None:
            self.units.pop(message["id"], None)
        else:
            ((key, drawn, unit),) = units_in(message["html"])
            assert (key, drawn) == (message["id"], seq)
            self.units[key] = (seq, unit)
        return False

    def drawn(self):
        """Units in the order in which the page shows them."""

        def place(key):
            said = dict(self.units[key][1][0][1])
            return said["data-pinned"], int(said["data-rank"]), int(said["data-pk"])

        order = sorted(self.units, key=place, reverse=True)
        return [(key, *self.units[key]) for key in order]
