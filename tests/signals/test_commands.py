"""Opening a source and trying it from the command line, and the examples of the README."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.brokers.models import Quote
from apps.orders import queue
from apps.signals import tasks
from apps.signals.models import Signal, SignalSource

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]
README = (Path(__file__).resolve().parents[2] / "README.md").read_text()


def run(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def desk(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A listening desk whose bells are answered at once."""

    def answer(task: str, row: int, where: str) -> None:
        if task == "signals.act":
            tasks.act_on_signal(row)
        connection.close()

    monkeypatch.setattr(queue, "_ring", answer)
    return str(live_server.url)


def send(url: str, name: str = "alpha-strategy", **different: Any) -> str:
    good = {"instrument": "RELIANCE", "side": "buy", "quantity": "1", "price": "1400"}
    return run("send_test_signal", name, url=url, **(good | different))


def test_a_source_is_opened_and_its_secret_printed_once(quiet_account, make_account):
    make_account("beta", "1000000002")
    said = run(
        "create_source", "momentum", account="paper-one", other=["beta"], strategy="m", window=60
    )
    source = SignalSource.objects.get()
    assert f"Path    {source.path}" in said
    assert f"Secret  {source.secret} " in said
    assert (source.strategy, source.window, source.test_mode) == ("m", 60, False)
    assert [account.name for account in source.others.all()] == ["beta"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "two words"}, "name: "),
        ({"account": "nobody"}, "There is no account 'nobody'. Accounts: paper-one"),
        ({"other": ["nobody"]}, "There is no account 'nobody'"),
        ({"window": 1}, "window: "),
        ({"entry_lifetime": 0}, "entry-lifetime: "),
        ({"account": "real-money", "test_mode": True}, "account: A source in test mode"),
    ],
)
def test_every_wrong_input_is_named(wrong, words, quiet_account, live_account):
    given = {"name": "momentum", "account": "paper-one"} | wrong
    with pytest.raises(CommandError, match=words):
        run("create_source", given.pop("name"), **given)
    assert not SignalSource.objects.exists()


def test_a_name_is_taken_once(sender):
    with pytest.raises(CommandError, match="name: "):
        run("create_source", "alpha-strategy", account="paper-one")


@pytest.mark.parametrize("command", ["create_source", "send_test_signal"])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit):
        call_command(command, "--help")
    assert f"manage.py {command} momentum" in capsys.readouterr().out


def test_a_test_signal_travels_the_whole_way(trading, desk, exchange):
    said = send(desk, test_mode=True)
    signal = Signal.objects.get()
    assert said.startswith("202 ")
    assert f"signal {signal.pk} is ACTED" in said
    assert signal.order.test
    assert signal.order.correlation_id in said
    assert len(exchange.accepted(signal.order.correlation_id)) == 1


def test_what_went_wrong_is_said(trading, desk):
    with pytest.raises(CommandError, match="is REFUSED"):
        send(desk, instrument="NOSUCH")
    with pytest.raises(CommandError, match="not taken"):
        send(desk, side="HOLD")
    for url in ("localhost:8000", "ftp://x", "http://"):
        with pytest.raises(CommandError, match="is no address"):
            send(url)
    with pytest.raises(CommandError, match="nobody took the signal"):
        send("http://127.0.0.1:9")
    with pytest.raises(CommandError, match=r"Sources: alpha-strategy\."):
        send(desk, name="nobody")


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def follow(program: list[str], sender: Any, desk: str) -> str:
    environment = os.environ | {
        "SIGNAL_URL": desk + sender.source.path,
        "SIGNAL_SECRET": str(sender.secret),
    }
    done = subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_example_of_the_readme_works(trading, desk, exchange):
    (code,) = examples("python")
    assert "202" in follow([sys.executable, "-c", code], trading, desk)
    assert Signal.objects.get().fate == "ACTED"


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl"
)
def test_the_shell_example_of_the_readme_works(trading, desk, exchange, reliance):
    (code,) = examples("bash")
    assert '"received"' in follow(["bash", "-c", code], trading, desk)
    signal = Signal.objects.get()
    assert signal.fate in {"ACTED", "REFUSED"}
    assert (signal.order.asked_type, signal.order.order_type) == ("MARKET", "LIMIT")
    assert Quote.objects.filter(instrument=reliance).exists() or signal.fate == "REFUSED"
