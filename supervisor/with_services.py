"""Run one command against a throwaway PostgreSQL and Valkey."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from supervisor.throwaway import Throwaway


def with_services(command: Sequence[str]) -> int:
    services = Throwaway()
    services.start()
    signal.signal(signal.SIGTERM, _leave)
    try:
        child = subprocess.Popen(command, env=os.environ | services.env)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells the command as well
        try:
            return child.wait()
        finally:
            child.terminate()
            child.wait()
    finally:
        services.stop()


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
