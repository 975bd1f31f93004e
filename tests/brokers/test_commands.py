"""Opening, checking and re-keying an account from the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.brokers.models import AccessToken, BrokerAccount, WireCall
from tests.brokers.conftest import CLIENT, TOKEN
from tests.brokers.payloads import payload
from tests.brokers.stub import Stub, answer, unused_port

GOOD = {
    "client_id": CLIENT,
    "rest_url": "https://api.dhan.co/v2",
    "feed_url": "wss://api-order-update.dhan.co",
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Callable[..., str]:
    """Run a command with this on standard input; gives what it printed."""

    def go(*arguments: str, stdin: str = "", **options: Any) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        out = io.StringIO()
        call_command(*arguments, stdout=out, **options)
        return out.getvalue()

    return go


def test_an_account_is_opened_with_its_token(run: Any) -> None:
    said = run("create_account", "main", stdin=f"{TOKEN}\n", **GOOD)
    account = BrokerAccount.objects.get()
    assert (account.name, account.broker, account.environment) == ("main", "dhan", "live")
    token = account.token()
    assert token is not None
    assert token.value == TOKEN
    assert "check_account main" in said
    assert TOKEN not in said


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"rest_url": "http://api.dhan.co/v2"}, "rest-url"),
        ({"rest_url": "ftp://127.0.0.1/"}, "rest-url"),
        ({"rest_url": "nonsense"}, "rest-url"),
        ({"feed_url": "https://x"}, "feed-url"),
        ({"feed_url": "ws://api.example.org"}, "feed-url"),
        ({"client_id": "../1"}, "client-id"),
        ({"broker": "robinhood"}, "broker"),
        ({"stamp_zone": "Mars/Olympus"}, "stamp-zone"),
        ({"token_expires": "tomorrow"}, "token-expires"),
        ({"token_expires": "2020-01-01T00:00"}, "token-expires"),
    ],
)
def test_every_wrong_input_is_named(wrong: dict[str, str], names: str, run: Any) -> None:
    with pytest.raises(CommandError, match=f"^{names}: "):
        run("create_account", "main", stdin=TOKEN, **(GOOD | wrong))
    assert not BrokerAccount.objects.exists()
    assert not AccessToken.objects.exists()


@pytest.mark.parametrize("token", ["", "\n", "two words here", "tökéntökén"])
def test_what_cannot_be_a_token_is_refused_and_not_shown(token: str, run: Any) -> None:
    with pytest.raises(CommandError, match=r"^token: ") as caught:
        run("create_account", "main", stdin=token, **GOOD)
    assert not token.strip() or token not in str(caught.value)


def test_several_wrong_inputs_are_told_together(run: Any) -> None:
    with pytest.raises(CommandError) as caught:
        run("create_account", "ma in", stdin="", **(GOOD | {"client_id": "!"}))
    text = str(caught.value)
    assert "name: " in text
    assert "client-id: " in text
    assert "token: " in text


def test_the_same_account_twice(run: Any) -> None:
    run("create_account", "main", stdin=TOKEN, **GOOD)
    with pytest.raises(CommandError, match="already exists"):
        run("create_account", "main", stdin=TOKEN, **GOOD)
    with pytest.raises(CommandError):
        run("create_account", "other", stdin=TOKEN, **GOOD)
    assert BrokerAccount.objects.count() == 1


def test_a_new_token_retires_the_old_one(at: Any, run: Any) -> None:
    account = at("http://127.0.0.1:9")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    run("store_token", account.name, stdin="a-new-token\n", token_expires=tomorrow)
    token = account.token()
    assert (token.value, account.tokens.count()) == ("a-new-token", 2)
    assert not token.expired


def test_an_account_that_is_not_there(run: Any, at: Any) -> None:
    account = at("http://127.0.0.1:9")
    for command in ("store_token", "check_account"):
        with pytest.raises(CommandError, match=account.name):
            run(command, "nobody", stdin=TOKEN)


def test_the_help_shows_an_example(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from django.core.management import load_command_class

    for name in (
        "create_account",
        "store_token",
        "check_account",
        "renew_token",
        "login_account",
    ):
        command = load_command_class("apps.brokers", name)
        text = command.create_parser("manage.py", name).format_help()
        assert f"example:\n  python manage.py {name}" in text


def good_profile() -> Any:
    return payload("profile.response") | {
        "tokenValidity": (datetime.now(UTC) + timedelta(days=1)).strftime("%d/%m/%Y %H:%M")
    }


def test_an_account_that_is_ready(at: Any, run: Any) -> None:
    positions = payload("positions.response")
    funds = payload("fundlimit.response")
    seen = payload("ip-get.response") | {"detectedIP": "10.420.29.14", "ordersAllowed": True}
    acts = [answer(200, body) for body in (good_profile(), funds, positions, seen)]
    with Stub(*acts) as stub:
        account = at(stub.url, calendar="always_open")
        said = run("check_account", account.name)
    assert "the broker sees us at 10.420.29.14" in said
    assert "by asking the broker, before the token ends" in said
    assert "green: in force until" in said
    assert "available ₹98,440.00" in said
    assert "1 open, 1 in the list" in said
    assert "BAD" not in said
    assert TOKEN not in said
    assert WireCall.objects.count() == 4


def test_the_answer_as_json(at: Any, run: Any, capsys: Any) -> None:
    with Stub(answer(401, payload("portal-error-auth"))) as stub:
        account = at(stub.url)
        out = io.StringIO()
        with pytest.raises(CommandError, match="not ready"):
            call_command("check_account", account.name, "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert (found["ok"], found["environment"]) == (False, "paper")
    texts = {check["check"]: check["text"] for check in found["checks"]}
    assert "store_token" in texts["profile"]
    assert "refuses the token" in texts["ready:token"]


@pytest.mark.parametrize(
    ("acts", "sentence"),
    [
        ([answer(401, payload("portal-error-auth"))], "does not accept the token"),
        ([answer(400, {"errorCode": "DH-905", "errorMessage": "Invalid IP"})], "IP address"),
        ([answer(404, payload("observed-live-forever-all-404.response"))], "right address"),
        ([answer(200, b"<html>")], "check the address"),
        ([answer(200, good_profile() | {"dhanClientId": "9"})], "another client id"),
        (
            [answer(200, good_profile() | {"tokenValidity": "01/01/2020 00:00"})],
            "ends soon",
        ),
    ],
)
def test_every_trouble_is_one_sentence(acts: Any, sentence: str, at: Any) -> None:
    from apps.brokers.checkup import check_account

    with Stub(*acts) as stub:
        findings = check_account(at(stub.url))
    assert any(sentence in finding.text for finding in findings if not finding.ok)


def test_a_broker_that_is_not_there_and_a_token_that_has_expired(at: Any) -> None:
    from apps.brokers.checkup import check_account

    account = at(f"http://127.0.0.1:{unused_port()}")
    assert any("cannot be reached" in finding.text for finding in check_account(account))
    AccessToken.objects.update(expires_at="2020-01-01T00:00Z")
    assert "expired" in check_account(account)[0].text
    AccessToken.objects.update(retired_at="2020-01-01T00:00Z")
    assert "no access token" in check_account(account)[0].text
