"""manage.py check_account"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.brokers.checkup import Finding, check_account
from apps.brokers.management.asking import find_account, show_example
from apps.brokers.models import BrokerAccount


class Command(BaseCommand):
    """Ask the broker who we are and what we have."""

    help = "Ask the broker for profile, funds and positions. Exit code 0 only when all is good."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the command line."""
        show_example(parser, "python manage.py check_account main")
        parser.add_argument("name", help="name of the account")
        parser.add_argument("--json", action="store_true", help="print JSON instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's own signature
        """Print what was found; raise when something is wrong."""
        account = find_account(options["name"])
        findings = check_account(account)
        self.stdout.write(
            _json(account, findings) if options["json"] else _table(account, findings)
        )
        troubles = sum(not finding.ok for finding in findings)
        if troubles:
            raise CommandError(f"{account.name} is not ready: {troubles} of the checks failed.")


def _table(account: BrokerAccount, findings: list[Finding]) -> str:
    lines = [f"{account.name}  {account.broker}  {account.environment}  {account.rest_url}"]
    for finding in findings:
        lines.append(f"  {'ok ' if finding.ok else 'BAD'}  {finding.check:<14} {finding.text}")
    return "\n".join(lines)


def _json(account: BrokerAccount, findings: list[Finding]) -> str:
    return json.dumps(
        {
            "account": account.name,
            "environment": account.environment,
            "ok": all(finding.ok for finding in findings),
            "checks": [asdict(finding) for finding in findings],
        },
        indent=2,
        ensure_ascii=False,
    )
