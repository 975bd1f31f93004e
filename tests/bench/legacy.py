"""How long a large import of another system takes: python -m tests.bench.legacy [ORDERS]."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.legacy.past import Past, at, leg, order

ACCOUNTS = """
from apps.brokers.models import BrokerAccount
for number, name in enumerate(("first", "second"), 1):
    BrokerAccount.objects.get_or_create(name=name, defaults=dict(broker="dhan",
        client_id=f"10000000{number}", rest_url="http://127.0.0.1:9/v2",
        feed_url="ws://127.0.0.1:9/feed"))
"""


def write(path: Path, orders: int) -> None:
    """Every tenth order a bracket with two legs, each order with an event, half with a trade."""
    past = Past.second(path)
    past.db.execute("BEGIN")
    for number in range(orders):
        name, days = str(10_000_000 + number), 2 + number % 200
        role = "follower" if number % 2 else "leader"
        when = {"created_at": at(days), "updated_at": at(days, second=9)}
        bracket = {"product": "BO", "bo_profit_value": 20.0, "bo_stop_loss_value": 10.0}
        more = bracket if number % 10 == 0 else {"security_id": str(1000 + number % 300)}
        past.orders(order(name, account_type=role, **when, **more))
        past.add("order_events", order_id=name, event_type="TRADED", event_data="{}",
                 event_ts=at(days))  # fmt: skip
        if number % 2:
            past.add("trades", order_id=name, trade_id=f"t{name}", quantity=10, price=1400.5)
        if number % 10 == 0:
            for kind, own in (("TARGET", f"{name}1"), ("SL", f"{name}2")):
                past.legs(leg(name, own, kind, account_type=role))
    past.db.execute("COMMIT")
    past.done()


def main() -> None:
    """Import, import again, take back; seconds of each."""
    orders = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    manage = [sys.executable, "manage.py"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.sqlite3"
        write(path, orders)
        subprocess.run([*manage, "migrate", "-v0"], check=True)
        subprocess.run([*manage, "shell", "--no-imports", "-c", ACCOUNTS], check=True)
        mapped = ["--map", "leader=first", "--map", "follower=second"]
        for what, words in (
            ("dry run", [*mapped, "--dry-run"]),
            ("import", mapped),
            ("the same again", mapped),
            ("rollback", ["--rollback"]),
        ):
            began = time.monotonic()
            subprocess.run([*manage, "migrate_bo_schema", str(path), *words], check=True)
            print(f"== {what}: {time.monotonic() - began:.1f} s of {orders:,} orders", flush=True)


if __name__ == "__main__":
    main()
