"""Write a master file of any size: ``python -m simexchange.generate --rows 200000 --out F``."""

import argparse
import datetime as dt
import sys
from pathlib import Path

from simexchange import instruments, master
from simexchange.clock import IST
from simexchange.listing import listed


def main() -> None:
    arguments = _parser().parse_args()
    table = listed(instruments.load(), arguments.rows, arguments.seed, arguments.day)
    kind = "compact" if arguments.compact else "detailed"
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        for line in master.lines(kind, table):
            file.write(line)
    print(f"{arguments.out}: the {kind} file, {arguments.rows:,} rows", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simexchange.generate",
        description="Write a list of instruments as the broker publishes it. The same arguments "
        "give the same file.",
    )
    parser.add_argument("--rows", type=int, default=200_000, help="the header aside")
    parser.add_argument("--seed", type=int, default=1, help="decides the invented companies")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument(
        "--day",
        type=dt.date.fromisoformat,
        default=dt.datetime.now(IST).date(),
        help="the day of the list, 2026-11-23; expiries follow from it",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--compact", action="store_true", help="the short file")
    kind.add_argument("--detailed", action="store_true", help="the long file; the default")
    return parser


if __name__ == "__main__":
    main()
