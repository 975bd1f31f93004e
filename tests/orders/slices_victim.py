"""A worker that dies by SIGKILL at a chosen place of placing the slices of one whole.

Usage: ``python -m tests.orders.slices_victim WHOLE_ID PLACE`` with the test's database in the
environment.
"""

from __future__ import annotations

import sys
from typing import Any

import django
from django.conf import settings

from tests.conftest import no_house_in
from tests.orders.victim import die


def main(whole_id: int, place: str) -> None:
    django.setup()
    no_house_in(settings)
    from apps.brokers import wire
    from apps.orders import dispatch, services, slices, wholes
    from apps.risk import gate

    if place == "before_the_second":
        services.place_slice = die  # type: ignore[assignment]
    elif place == "while_storing":
        wholes.follow = die  # type: ignore[assignment]
    elif place == "after_call_written":
        gate.trading.place = die  # type: ignore[assignment]
    elif place == "after_bytes_left":
        exchange = wire._exchange

        def speak_and_die(*args: Any) -> Any:
            exchange(*args)
            die()

        wire._exchange = speak_and_die  # type: ignore[assignment]
    elif place == "before_settle":
        dispatch.settle = die  # type: ignore[assignment]
    elif place == "between_slices":
        slice_it = services.place_slice

        def place_and_die(*args: Any) -> bool:
            slice_it(*args)
            die()
            return True

        services.place_slice = place_and_die  # type: ignore[assignment]
    slices.advance(whole_id)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
