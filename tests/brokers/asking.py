"""Small steps that tests about tokens take."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.db import connection
from django.utils import timezone

from apps.brokers.models import AccessToken, BrokerSession, LoginCredentials

ROOT = Path(__file__).resolve().parents[2]
PIN, TOTP_SECRET = "112233", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
APP_ID, APP_SECRET = "app-1", "app-secret-1"
SECRETS = (PIN, TOTP_SECRET, APP_SECRET)


def session_of(account: Any) -> BrokerSession:
    return BrokerSession.objects.get(account=account)


def ends_in(account: Any, **span: float) -> None:
    """Say of the token in force that it ends then."""
    AccessToken.objects.filter(account=account, retired_at=None).update(
        expires_at=timezone.now() + dt.timedelta(**span), learned_at=timezone.now()
    )


def forget_pauses(account: Any) -> None:
    """As if time had passed: the next look and the next try are due, and the code is another."""
    BrokerSession.objects.filter(account=account).update(
        probed_at=None, next_try_at=None, refused_last=None
    )
    LoginCredentials.objects.filter(account=account).update(totp_step=None)


def asked(exchange: Any, endpoint: str) -> int:
    """How often the exchange was asked this since the test began."""
    return exchange.report()["requests"].get(endpoint, 0)


def start(what: str, account: Any, **extra: str) -> subprocess.Popen[str]:
    url = os.environ["DATABASE_URL"]
    base, _, query = url.partition("?")
    own = f"{base.rsplit('/', 1)[0]}/{connection.settings_dict['NAME']}"
    own += f"?{query}" if query else ""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.brokers.asker", what, account.name],
        env=os.environ | {"DATABASE_URL": own, **extra},
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def go(*processes: subprocess.Popen[str]) -> list[tuple[int, str]]:
    """Let all begin together; (exit code, what each wrote on standard error)."""
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    results = []
    for process in processes:
        _, errors = process.communicate(timeout=60)
        results.append((process.returncode, errors))
    return results
