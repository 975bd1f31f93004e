"""The other end of ``apprise_line``: reads one wish, tells one answer, and ends.

It imports nothing of Django and gets none of the desk's environment.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from typing import Any
from urllib.parse import unquote

from apprise import Apprise, AppriseAsset, AppriseResult, NotifyFormat, PersistentStoreMode

POLITENESS = 10  # trading goes first


def main() -> None:
    """One wish from standard input, one answer to standard output."""
    os.nice(POLITENESS)
    print(json.dumps(_answer(json.load(sys.stdin))))


def _answer(wish: dict[str, Any]) -> dict[str, Any]:
    asset = AppriseAsset(
        app_id="Trading operations",
        app_desc="Trading operations desk",
        storage_mode=PersistentStoreMode.MEMORY,
    )
    service = Apprise(asset=asset)
    if not service.add(wish["address"]):
        return {"known": False, "delivered": False, "why": "the address is not understood"}
    if "text" not in wish:
        return {"known": True}
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    result = service.notify(
        body=wish["text"],
        title=wish["title"],
        body_format=NotifyFormat.TEXT,
        timeout=wish["within"],
        log_level=logging.DEBUG,
    )
    return {"delivered": bool(result), "why": without(_why(result), wish["address"])}


def _why(result: AppriseResult) -> str:
    """What went wrong; apprise tells the cause itself only at its chattiest."""
    told = [row for row in result.logs() if row.level != "DEBUG" or "Exception" in row.message]
    return "; ".join(row.message for row in told if row.level not in {"INFO", "TRACE"})


def without(text: str, address: str) -> str:
    """The text with every piece of the address masked: in some, any part is the secret."""
    for form in (address, unquote(address)):
        for piece in sorted(re.split(r"[:/?&=@,;#\s]+", form), key=len, reverse=True):
            if len(piece) > 2:
                text = text.replace(piece, "***")
    return " ".join(text.split())[:250]


if __name__ == "__main__":
    main()
