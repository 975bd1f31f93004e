"""python -m supervisor run [--var DIRECTORY] | env | reset | with-services -- COMMAND"""

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
    try:
        match words:
            case ["run"]:
                return run(os.environ, places)
            case ["run", "--var", directory]:
                return run(os.environ, Places(elsewhere=Path(directory).resolve()))
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
