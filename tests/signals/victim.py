"""A worker that dies by SIGKILL at a chosen place of acting on one signal.

Usage: ``python -m tests.signals.victim SIGNAL_ID PLACE``, the test's database in the environment.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import django

from tests.conftest import no_house_in


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(signal_id: int, place: str) -> None:
    django.setup()
    from django.conf import settings

    from apps.orders import services
    from apps.signals import acting

    no_house_in(settings)
    if place == "before_place":
        acting.place_at_once = die  # type: ignore[assignment]
    elif place == "inside_place":
        services.gate.Turn.review = die  # type: ignore[assignment]
    elif place == "before_commit":
        acting.settle = die  # type: ignore[assignment]
    elif place == "before_sending":
        services.dispatch.send = die  # type: ignore[assignment]
    acting.act(signal_id)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
