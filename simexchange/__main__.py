"""Command line of the simulated exchange."""

import argparse
import asyncio
import json
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from simexchange import instruments
from simexchange.accounts import Account, default_accounts
from simexchange.app import Options, serve
from simexchange.holdings import Delivery, holdings_from
from simexchange.journal import StartError


def main() -> None:
    arguments = _parser().parse_args()
    try:
        _run(arguments)
    except (OSError, StartError) as failure:
        sys.exit(f"simexchange cannot start: {failure}")


def _run(arguments: argparse.Namespace) -> None:
    if arguments.print_instruments:
        table = instruments.load(arguments.instruments)
        print(json.dumps([instruments.to_row(i) for i in table.values()], indent=2))
        return
    options = Options(
        host=arguments.host,
        port=arguments.port,
        seed=arguments.seed,
        accounts=_accounts(arguments.accounts),
        instruments=arguments.instruments,
        universe=arguments.universe,
        rate_limits=not arguments.no_rate_limits,
        hours=arguments.hours,
        state=arguments.state,
        faults=arguments.faults,
        tick_ms=arguments.tick_ms,
        transit_ms=arguments.transit_ms,
        token_life=_hours(arguments.token_hours),
    )
    asyncio.run(serve(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simexchange",
        description="A simulated exchange that speaks the DhanHQ v2 wire protocol.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default loopback)")
    parser.add_argument("--port", type=int, default=9100, help="0 takes a free port")
    parser.add_argument("--seed", type=int, default=1, help="decides prices, depth and faults")
    parser.add_argument("--accounts", type=Path, help="JSON list of client_id, token, balance")
    parser.add_argument("--instruments", type=Path, help="JSON list, as --print-instruments")
    parser.add_argument("--universe", type=int, default=0, help="list so many instruments in all")
    parser.add_argument("--state", type=Path, help="file that keeps orders across restarts")
    parser.add_argument("--faults", type=Path, help="JSON schedule of failures to order")
    parser.add_argument("--no-rate-limits", action="store_true", help="never answer 429")
    parser.add_argument("--hours", action="store_true", help="trade only in session hours")
    parser.add_argument("--tick-ms", type=int, default=500, help="between two price steps")
    parser.add_argument("--transit-ms", type=int, default=20, help="an order stays in TRANSIT")
    parser.add_argument(
        "--token-hours", type=float, help="life of tokens, those of the start too (default 24)"
    )
    parser.add_argument("--print-instruments", action="store_true", help="print them and stop")
    return parser


def _hours(count: float | None) -> timedelta | None:
    if count is not None and count <= 0:
        raise StartError("--token-hours: a number above 0 is needed")
    return None if count is None else timedelta(hours=count)


def _accounts(path: Path | None) -> list[Account]:
    if path is None:
        return default_accounts()
    try:
        accounts = [_account(row) for row in json.loads(path.read_text(), parse_float=Decimal)]
    except (ValueError, TypeError, KeyError, ArithmeticError) as fault:
        text = "a JSON list of objects with client_id, token and balance is needed"
        raise StartError(f"{path}: {text} ({fault!r})") from fault
    if len({account.token for account in accounts}) < len(accounts):
        raise StartError(f"{path}: each account needs a token of its own")
    return accounts


def _account(row: dict[str, Any]) -> Account:
    balance = Decimal(row["balance"])
    holdings = holdings_from(row.get("holdings", []))
    account = Account(str(row["client_id"]), row["token"], balance, holdings)
    account.delivery = Delivery(at_start=row.get("ddpi", False) is True).as_at_start()
    return account


if __name__ == "__main__":
    main()
