"""A house of small fake parts, run as a process of its own: argv is the checkout and the parts.

Each part is NAME=WHAT, where WHAT is: sleep, dies, once, fails, slow, stubborn, family.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from supervisor.part import Part, Tier
from supervisor.places import Places
from supervisor.run import run

STORY = "import os, pathlib, signal, subprocess, sys, time; "
WHAT = {
    "sleep": "time.sleep(600)",
    "dies": "print('the disk is full'); sys.exit(3)",
    "slow": "time.sleep(600)",
    "once": "print('a secret for the operator')",
    "fails": "[print('line', n) for n in range(40)]; sys.exit(1)",
    "stubborn": "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(600)",
    "family": "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "time.sleep(600)",
}
NOTE_STOP = (
    "signal.signal(signal.SIGTERM, lambda *_: (open('stopped', 'a').write('{name}\\n'),"
    " sys.exit(0)));"
)


def part(described: str) -> Part:
    name, _, what = described.partition("=")
    once = what in {"once", "fails", "slow"}
    note = NOTE_STOP.format(name=name) if what == "sleep" else ""
    mark = f"open('started', 'a').write('{name}\\n'); "
    argv = (sys.executable, "-u", "-c", STORY + note + mark + WHAT[what])
    grace = float(os.environ.get("GRACE", "1"))
    tier = Tier.FEED if name.startswith("feed") else Tier.DESK
    return Part(name, argv, tier, grace=grace, once=once, shown=what == "once", settle=0.4)


def main(root: str, *described: str) -> int:
    os.chdir(root)
    parts = [part(text) for text in described]
    return run(os.environ, Places(Path(root)), lambda plan: parts, lambda host, port: {})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
