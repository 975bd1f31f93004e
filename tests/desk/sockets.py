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


class _Rows(HTMLParser):
    """The rows of a page, each as the list of what the parser meets in it."""

    def __init__(self):
        super().__init__()
        self.rows, self.row = [], None

    def handle_starttag(self, tag, attrs):
        if tag == "tr" and dict(attrs).get("id", "").startswith("order-"):
            self.row = []
            self.rows.append((int(dict(attrs)["data-id"]), int(dict(attrs)["data-seq"]), self.row))
        if self.row is not None:
            self.row.append((tag, sorted(attrs)))

    def handle_endtag(self, tag):
        if self.row is not None:
            self.row.append(tag)
        if tag == "tr":
            self.row = None

    def handle_data(self, data):
        if self.row is not None and data.strip():
            self.row.append(data.strip())


def rows_in(html):
    parser = _Rows()
    parser.feed(html)
    return parser.rows


class Page:
    """What the browser's module does, in few words: rows by id, change numbers by account."""

    def __init__(self, html, seen):
        self.rows = {pk: (seq, row) for pk, seq, row in rows_in(html)}
        self.seen = dict(seen)

    def take(self, message):
        """Apply one message; the answer is True when something is missing before it."""
        kind = message["type"]
        if kind == "snapshot":
            rows = rows_in("".join(row["html"] for row in message["rows"]))
            self.rows = {pk: (seq, row) for pk, seq, row in rows}
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
        if self.rows.get(message["id"], (-1, None))[0] >= seq:
            return False
        if message["html"] is None:
            self.rows.pop(message["id"], None)
        else:
            ((pk, drawn, row),) = rows_in(message["html"])
            assert (pk, drawn) == (message["id"], seq)
            self.rows[pk] = (seq, row)
        return False

    def drawn(self):
        """Rows in the order in which the page shows them."""
        pinned = {pk for pk, (_, row) in self.rows.items() if "desk-pinned" in str(row[0])}
        order = sorted(self.rows, key=lambda pk: (pk in pinned, pk), reverse=True)
        return [(pk, *self.rows[pk]) for pk in order]
