"""Speak through apprise, in a process of its own that is killed when its time is over.

Apprise knows a hundred services, each with its own habits: some log addresses, some wait without
end. Out there none of it can hold up or read anything of the desk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from django.conf import settings

from apps.alerts.trouble import Trouble

MODULE = "apps.alerts.apprise_child"
STARTING = 5.0  # seconds on top, for Python and apprise themselves
_NEEDED = (
    *("PATH", "LANG", "LC_ALL", "TZ", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)


def notify(address: str, title: str, text: str, within: float) -> None:
    """Say it through the service that ``address`` names. Raises ``Trouble``."""
    wish = {"address": address, "title": title, "text": text, "within": within}
    answer = _ask(wish, within)
    if answer.get("delivered") is not True:
        raise Trouble(str(answer.get("why") or "not delivered"))


def knows(address: str) -> bool:
    """Whether apprise understands this address; nothing is sent. Raises ``Trouble``."""
    return _ask({"address": address}, settings.ALERT_SEND_TIMEOUT).get("known") is True


def _ask(wish: dict[str, Any], within: float) -> dict[str, Any]:
    environment = {name: os.environ[name] for name in _NEEDED if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", MODULE],
            input=json.dumps(wish).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it may hold the address
            cwd=settings.BASE_DIR,
            env=environment,
            timeout=within + STARTING,
            check=False,
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise Trouble(f"no answer within {within:g} s") from None
    except (OSError, ValueError):
        raise Trouble("the sending process broke") from None
    return answer if isinstance(answer, dict) else {}
