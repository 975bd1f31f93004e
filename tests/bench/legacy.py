"""How long a large import takes: python -m tests.bench.legacy [ORDERS [CONTRACTS]]."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from tests.legacy.past import Past, at, leg, order


def make_accounts() -> None:
    """A leader and a follower, which are never spoken to."""
    from apps.brokers.models import BrokerAccount

    for number, name in enumerate(("first", "second"), 1):
        BrokerAccount.objects.create(
            name=name,
            broker="dhan",
            client_id=f"10000000{number}",
            rest_url="http://127.0.0.1:9/v2",
            feed_url="ws://127.0.0.1:9/feed",
        )


def write(path: Path, orders: int, contracts: int) -> None:
    """Every tenth order a bracket with two legs, each order with an event, half with a trade."""
    past = Past.second(path)
    past.db.execute("BEGIN")
    for number in range(contracts):
        past.add("instruments", security_id=str(1000 + number), exchange_segment="NSE_FNO",
                 symbol=f"NIFTY-{number}", instrument_type="OPTIDX", expiry_date="2025-01-30",
                 strike_price=100.0 + number, option_type="CE")  # fmt: skip
    for number in range(orders):
        name, days = str(10_000_000 + number), 2 + number % 200
        role = "follower" if number % 2 else "leader"
        when = {"created_at": at(days), "updated_at": at(days, second=9)}
        bracket = {"product": "BO", "bo_profit_value": 20.0, "bo_stop_loss_value": 10.0}
        contract = str(1000 + number % contracts)
        option = {"security_id": contract, "exchange_segment": "NSE_FNO"}
        more = bracket if number % 10 == 0 else option
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


def cpu_of(pid: int) -> float:
    """Seconds of processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Seconds of each step, on the clock and of processor here and in the database."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    orders = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    contracts = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.sqlite3"
        write(path, orders, contracts)
        call_command("migrate", verbosity=0)
        make_accounts()
        mapped = ["--map", "leader=first", "--map", "follower=second"]
        for what, words in (
            ("import", mapped),
            ("the same again", mapped),
            ("rollback", ["--rollback"]),
            ("dry run", [*mapped, "--dry-run"]),
        ):
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                database = cursor.fetchone()[0]
            began, here, there = time.monotonic(), time.process_time(), cpu_of(database)
            call_command("migrate_bo_schema", str(path), *words)
            print(
                f"== {what} of {orders:,} orders in {contracts:,} contracts: "
                f"{time.monotonic() - began:.1f} s, at most "
                f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB; processor: "
                f"{time.process_time() - here:.1f} s here, {cpu_of(database) - there:.1f} s there",
                flush=True,
            )


if __name__ == "__main__":
    main()
