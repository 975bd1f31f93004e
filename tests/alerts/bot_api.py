"""Telegram's Bot API as a real HTTP server: its JSON shapes, its long polling, its bad days.

https://core.telegram.org/bots/api. Tests give it people who write and acts that misbehave.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TOKEN = "123456789:AAF-fake_fake_fake_fake_fake_fake_fake"
BOT_ID = 123456789
Act = Callable[["_Request"], None]


class BotApi:
    """One bot at one fake of Telegram."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.polls: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.acts: list[tuple[str, Act]] = []
        self.always: dict[str, Act] = {}
        self.closing = threading.Event()
        self._updates: list[dict[str, Any]] = []
        self._next = 700
        self._lock = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Request)
        self._server.daemon_threads = True
        self._server.api = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        with self._lock:
            self._lock.notify_all()
        self._server.shutdown()
        self._server.server_close()

    # --- what tests say ---

    def next(self, act: Act, method: str = "sendMessage", times: int = 1) -> None:
        """Misbehave the next ``times`` times this method is called."""
        self.acts += [(method, act)] * times

    def writes(
        self,
        text: str,
        user: int = 111,
        chat: int | None = None,
        ago: float = 0,
        odd: dict[str, Any] | None = None,
    ) -> int:
        """Somebody writes to the bot; ``odd`` is what differs. Returns the update's id."""
        group = chat is not None and chat < 0
        where = {"id": chat or user, "type": "supergroup" if group else "private"}
        where |= {"title": "Desk"} if group else {"first_name": "Alice", "username": "alice"}
        message = {
            "message_id": self._next + 1000,
            "from": {
                "id": user,
                "is_bot": False,
                "first_name": "Alice",
                "username": "alice",
                "language_code": "en",
            },
            "chat": where,
            "date": int(time.time() - ago),
            "text": text,
        } | (odd or {})
        if text.startswith("/"):
            length = len(text.split()[0])
            message["entities"] = [{"offset": 0, "length": length, "type": "bot_command"}]
        return self.update(message=message)

    def update(self, **content: Any) -> int:
        with self._lock:
            self._next += 1
            self._updates.append({"update_id": self._next} | content)
            self._lock.notify_all()
            return self._next

    @property
    def texts(self) -> list[str]:
        return [row["text"] for row in self.sent]

    def until(self, found: Callable[[], Any], seconds: float = 10) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := found()):
            assert time.monotonic() < deadline, (self.calls, self.sent)
            time.sleep(0.02)
        return value

    # --- what Telegram does ---

    def act_for(self, method: str) -> Act | None:
        with self._lock:
            for at, (name, act) in enumerate(self.acts):
                if name == method:
                    del self.acts[at]
                    return act
        return self.always.get(method)

    def get_updates(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """Confirms everything before ``offset``, then waits up to ``timeout`` for more."""
        self.polls.append(asked)
        deadline = time.monotonic() + asked.get("timeout", 0)
        with self._lock:
            offset = asked.get("offset", 0)
            self._updates = [row for row in self._updates if row["update_id"] >= offset]
            while not self._updates and not self.closing.is_set():
                left = deadline - time.monotonic()
                if left <= 0:
                    return []
                self._lock.wait(left)
            return self._updates[:100]

    def send_message(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.sent.append(asked)
        return {
            "message_id": len(self.sent),
            "from": ME,
            "chat": {"id": asked["chat_id"], "type": "private", "first_name": "Alice"},
            "date": int(time.time()),
            "text": asked["text"],
        }


ME = {"id": BOT_ID, "is_bot": True, "first_name": "Desk", "username": "DeskBot"}


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def api(self) -> BotApi:
        return self.server.api  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = re.fullmatch(r"/bot([^/]+)/(\w+)", self.path)
        method = found[2] if found else ""
        self.asked: dict[str, Any] = json.loads(body or b"{}")
        self.api.calls.append(method)
        if found is None or found[1] != TOKEN:
            self.refuse(401, "Unauthorized")
        elif act := self.api.act_for(method):
            act(self)
        else:
            self.serve(method, self.asked)

    def serve(self, method: str, asked: dict[str, Any]) -> None:
        if method == "getMe":
            self.answer({"ok": True, "result": ME})
        elif method == "getUpdates":
            self.answer({"ok": True, "result": self.api.get_updates(asked)})
        elif method != "sendMessage":
            self.refuse(404, "Not Found")
        elif not 0 < len(asked["text"].encode("utf-16-le")) // 2 <= 4096:
            self.refuse(400, "Bad Request: message is too long")
        else:
            self.answer({"ok": True, "result": self.api.send_message(asked)})

    def refuse(self, code: int, description: str, **parameters: Any) -> None:
        body: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
        self.answer(body | ({"parameters": parameters} if parameters else {}), code)

    def answer(self, body: Any, code: int = 200) -> None:
        self.raw(code, json.dumps(body).encode(), "application/json")

    def raw(self, code: int, content: bytes, kind: str = "text/html") -> None:
        try:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        return


def in_chat(chat: str, act: Act) -> Act:
    """Misbehave in one chat alone."""

    def choose(request: _Request) -> None:
        if str(request.asked.get("chat_id")) == chat:
            act(request)
        else:
            request.serve("sendMessage", request.asked)

    return choose


def too_many(seconds: int) -> Act:
    text = f"Too Many Requests: retry after {seconds}"
    return lambda request: request.refuse(429, text, retry_after=seconds)


def blocked(request: _Request) -> None:
    request.refuse(403, "Forbidden: bot was blocked by the user")


def moved(request: _Request) -> None:
    text = "Bad Request: group chat was upgraded to a supergroup chat"
    request.refuse(400, text, migrate_to_chat_id=-100200300)


def conflict(request: _Request) -> None:
    text = "Conflict: terminated by other getUpdates request"
    request.refuse(409, text)


def bad_gateway(request: _Request) -> None:
    request.raw(502, b"<html><h1>502 Bad Gateway</h1></html>")


def garbage(request: _Request) -> None:
    request.raw(200, b"\xff\x00 not json")


def odd(request: _Request) -> None:
    request.answer({"ok": "yes", "result": 5})


def hang(request: _Request) -> None:
    """Takes the request and never says a word."""
    request.api.closing.wait(30)
    request.close_connection = True


def drip(request: _Request) -> None:
    """A byte of a header every 50 ms: never silent, never done."""
    request.close_connection = True
    try:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not request.api.closing.wait(0.05):
            request.wfile.write(b"a")
            request.wfile.flush()
    except OSError:
        return


def drop(request: _Request) -> None:
    request.close_connection = True
    request.connection.close()


def redirect(request: _Request) -> None:
    request.send_response(302)
    request.send_header("Location", "http://127.0.0.1:9/")
    request.send_header("Content-Length", "0")
    request.end_headers()
