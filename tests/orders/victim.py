"""A worker that dies by SIGKILL at a chosen place of dispatching one order.

Usage: ``python -m tests.orders.victim ORDER_ID PLACE`` with the test's database in the
environment. The places are the rows of the crash table.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import django


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(order_id: int, place: str) -> None:
    django.setup()
    from apps.brokers import wire
    from apps.orders import dispatch, lifecycle
    from apps.risk import gate

    if place == "while_claiming":
        lifecycle.sending = die  # type: ignore[assignment]
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
    elif place == "frozen_before_first_byte":
        transmit = wire._exchange

        def freeze(*args: Any) -> Any:
            print("frozen", flush=True)
            time.sleep(float(os.environ["FREEZE"]))
            return transmit(*args)

        wire._exchange = freeze  # type: ignore[assignment]
    dispatch.dispatch(order_id)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
