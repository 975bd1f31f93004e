"""Speak to the person at the terminal, if there still is one."""

from __future__ import annotations

import contextlib


def say(text: str, end: str = "\n") -> None:
    with contextlib.suppress(OSError):  # the terminal was closed, or the reader of the pipe left
        print(text, end=end, flush=True)
