"""python -m supervisor run | env | reset [--var DIRECTORY], or with-services -- COMMAND"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from supervisor.environment import exports
from supervisor.errors import HouseError
from supervisor.places import Places
from supervisor.reset import reset
from supervisor.run import run
from supervisor.say import say
from supervisor.with_services import with_services


def main(words: Sequence[str]) -> int:
    places = Places()
    if len(words) == 3 and words[1] == "--var":
        places = Places(elsewhere=Path(words[2]).resolve())
        words = words[:1]
    try:
        match words:
            case ["run"]:
                return run(os.environ, places)
            case ["env"]:
                say(exports(places))
                return 0
            case ["reset"]:
                reset(places)
                return 0
            case ["with-services", "--", *command] if command:
                return with_services(command)
    except HouseError as error:
        print(error, file=sys.stderr)
        return error.code
    print(f"usage: {__doc__}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
