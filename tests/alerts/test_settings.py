"""What a wrong setting says, and what is refused at the start."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.exceptions import ImproperlyConfigured

from tradingops.checks import telegram_hears_no_token_in_clear
from tradingops.settings import _hours


def test_the_hours_of_reports():
    assert _hours("09:15 - 15:30") == (dt.time(9, 15), dt.time(15, 30))


@pytest.mark.parametrize("text", ["", "09:15", "15:30-09:15", "nine-five", "09:15-15:30-16:00"])
def test_hours_that_are_none_are_named_with_an_example(text):
    with pytest.raises(ImproperlyConfigured, match=r"REPORT_HOURS=.*as in 09:15-15:30"):
        _hours(text)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://api.telegram.org", False),
        ("http://127.0.0.1:8081", False),
        ("http://api.telegram.org", True),
        ("api.telegram.org", True),
    ],
)
def test_a_token_never_goes_out_in_clear(settings, url, wrong):
    settings.TELEGRAM_API_URL = url
    assert bool(telegram_hears_no_token_in_clear()) == wrong
