"""E-mail and every other service go through apprise, in a process that can be killed."""

from __future__ import annotations

import os
from email import message_from_bytes, policy

import pytest

from apps.alerts import apprise_child, apprise_line
from apps.alerts.delivering import work_off
from apps.alerts.models import Delivery, Severity
from apps.alerts.raising import raise_alert
from apps.alerts.spreading import spread
from apps.alerts.trouble import Trouble
from tests.alerts.conftest import mail_channel, silent_server, states

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(settings):
    settings.ALERT_SEND_TIMEOUT = 3.0


def tell(text="the feed is silent"):
    raise_alert("a", text, Severity.CRITICAL)
    spread()


def test_a_letter_arrives(mail):
    channel = mail_channel(mail.port)
    tell("é <b> & ₹5")
    assert work_off(channel.pk)
    assert states() == ["DELIVERED"], Delivery.objects.get().error
    letter = mail.letters[0]
    assert letter.rcpt_tos == ["me@example.com"]
    parsed = message_from_bytes(letter.content, policy=policy.default)
    assert parsed["subject"].startswith("[desk] CRITICAL: é <b> & ₹5")
    assert "CRITICAL: é <b> & ₹5" in parsed.get_body().get_content()


def test_a_mail_server_that_says_nothing_is_left_in_time():
    with silent_server() as (port, peers):
        channel = mail_channel(port)
        tell()
        work_off(channel.pk)
        assert peers
    assert states() == ["WAITING"]
    assert Delivery.objects.get().error


def test_nobody_listens_at_the_mail_port():
    channel = mail_channel(9)
    tell()
    work_off(channel.pk)
    error = Delivery.objects.get().error
    assert error
    for secret in ("letmein", "desk@example.com", "mailto"):
        assert secret not in error


def test_a_wrong_password_is_told_in_the_servers_words(mail):
    channel = mail_channel(mail.port, password="wr0ngpass")
    tell()
    work_off(channel.pk)
    error = Delivery.objects.get().error
    assert "535" in error
    assert "wr0ngpass" not in error
    assert mail.letters == []


def test_a_child_that_hangs_is_killed(monkeypatch):
    monkeypatch.setattr(apprise_line, "STARTING", 0.2)
    monkeypatch.setattr(apprise_line, "MODULE", "tests.alerts.sleeper")
    with pytest.raises(Trouble, match=r"no answer within 0\.3 s"):
        apprise_line.notify("json://x", "t", "x", 0.3)


def test_a_child_that_breaks_says_nothing_of_the_address(capfd):
    with pytest.raises(Trouble, match="broke"):
        apprise_line._ask({"addres": "sec"}, 5)
    assert capfd.readouterr() == ("", "")


def test_the_child_gets_none_of_the_desks_secrets(monkeypatch):
    monkeypatch.setattr(apprise_line, "MODULE", "tests.alerts.telltale")
    seen = apprise_line._ask({}, 5)["environment"]
    assert not {"SECRET_KEY", "CREDENTIAL_KEYS", "DATABASE_URL", "REDIS_URL"} & set(seen)
    assert "SECRET_KEY" in os.environ


def test_apprise_says_whether_it_understands_an_address():
    assert apprise_line.knows("mailto://a:b@example.com")
    assert not apprise_line.knows("bogus://a:b@example.com")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("no route to hooks.example.com for s3cret", "json://bob:s3cret@hooks.example.com/p4th"),
        ("p4th said no", "json://bob:s3cret@hooks.example.com/p4th"),
        ("wrong t%6Fken", "slack://t%6Fken/abc"),
        ("wrong token", "slack://t%6Fken/abc"),
    ],
)
def test_no_piece_of_an_address_is_in_a_reason(text, address):
    told = apprise_child.without(text, address)
    for piece in ("s3cret", "hooks.example.com", "p4th", "t%6Fken", "token"):
        assert piece not in told
