"""Django's command line for the trading desk."""

import os
import sys

from django.core.management import execute_from_command_line

from supervisor.environment import load_into


def main() -> None:
    """Run a management command against the running house, if this checkout has one."""
    load_into(os.environ)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingops.settings")
    if sys.stderr.isatty():  # a person reads the command's own words; logs only when they warn
        os.environ.setdefault("LOG_LEVEL", "WARNING")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
