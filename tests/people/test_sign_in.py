"""Locking out: whose address counts, for how long, and who cannot be kept out."""

from __future__ import annotations

import pytest
import time_machine
from axes.models import AccessAttempt, AccessLog
from django.test import Client, RequestFactory
from django.utils import timezone

from apps.people.address import client_address
from tests.people.conftest import PASSWORD, by_password, entered, member

pytestmark = pytest.mark.django_db(transaction=True)

FORGED = [
    # proxies, header, whose address counts
    (0, None, "9.9.9.9"),
    (0, "1.1.1.1", "9.9.9.9"),
    (1, "1.1.1.1", "1.1.1.1"),
    (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),
    (2, "6.6.6.6, 1.1.1.1, 10.0.0.1", "1.1.1.1"),
    (2, "6.6.6.6, 5.5.5.5, 1.1.1.1, 10.0.0.1", "1.1.1.1"),
    (2, "10.0.0.1", "9.9.9.9"),
    (1, None, "9.9.9.9"),
    (1, "nonsense", "9.9.9.9"),
    (1, "1.1.1.1, ", "9.9.9.9"),
    (1, "2001:DB8::1", "2001:db8::1"),
]


@pytest.mark.parametrize(("proxies", "header", "counts"), FORGED)
def test_only_what_our_own_proxies_wrote_counts(proxies, header, counts, settings):
    settings.TRUSTED_PROXIES = proxies
    told = {"HTTP_X_FORWARDED_FOR": header} if header is not None else {}
    request = RequestFactory().get("/", REMOTE_ADDR="9.9.9.9", **told)
    assert client_address(request) == counts


def test_a_peer_without_an_address_is_nobody_else(settings):
    request = RequestFactory().get("/", REMOTE_ADDR="", HTTP_X_FORWARDED_FOR="1.1.1.1")
    assert client_address(request) is None


def guess(times, name="otto", address="6.6.6.6", **extra):
    form = {"username": name, "password": "wrong"}
    for _ in range(times):
        answer = Client().post("/admin/login/", form, REMOTE_ADDR=address, **extra)
    return answer


def opens(name="otto", address="9.9.9.9", **extra):
    _, answer = by_password(name, REMOTE_ADDR=address, **extra)
    return answer.status_code == 302


def test_ten_wrong_passwords_lock_out_and_the_page_says_how_long(owner):
    assert guess(9).status_code == 200
    answer = guess(1)
    assert answer.status_code == 429
    assert "Try again in 15 minutes" in answer.content.decode()
    assert "Trading operations" in answer.content.decode()
    assert not opens(address="6.6.6.6")


def test_another_address_is_not_locked_out(owner):
    guess(12)
    assert opens(address="9.9.9.9")


def test_the_lock_out_ends_even_while_somebody_goes_on_guessing(owner):
    guess(10)
    with time_machine.travel(timezone.now() + timezone.timedelta(minutes=10)):
        page = guess(1).content.decode()
        assert "Try again in 5 minutes" in page
    with time_machine.travel(timezone.now() + timezone.timedelta(minutes=15, seconds=5)):
        assert opens(address="6.6.6.6")


def test_a_new_forged_header_for_each_guess_does_not_help(owner):
    for number in range(9):
        guess(1, HTTP_X_FORWARDED_FOR=f"7.7.7.{number}")
    assert guess(1, HTTP_X_FORWARDED_FOR="7.7.7.99").status_code == 429


def test_behind_a_proxy_forged_entries_do_not_help_and_hit_nobody_else(owner, settings):
    settings.TRUSTED_PROXIES = 1
    for number in range(10):
        told = f"7.7.7.{number}, 6.6.6.6"
        answer = guess(1, address="10.0.0.1", HTTP_X_FORWARDED_FOR=told)
    assert answer.status_code == 429
    assert not opens(address="10.0.0.1", HTTP_X_FORWARDED_FOR="8.8.8.8, 6.6.6.6")
    assert opens(address="10.0.0.1", HTTP_X_FORWARDED_FOR="6.6.6.6, 9.9.9.9")


def test_guessing_from_everywhere_locks_the_name_out_but_not_where_it_is_at_home(owner):
    assert opens(address="9.9.9.9")
    for number in range(10):
        guess(5, address=f"6.6.6.{number}")
    assert not opens(address="7.7.7.7")
    assert opens(address="9.9.9.9")


def test_names_that_do_not_exist_are_locked_out_alike(owner):
    assert guess(10, name="nobody").status_code == 429


def test_a_right_password_forgets_the_wrong_ones(owner):
    guess(9, address="9.9.9.9")
    assert opens()
    assert guess(1, address="9.9.9.9").status_code == 200


def test_attempts_are_shown_and_cannot_be_changed(owner, adam, viewer):
    guess(3)
    opens()
    for name in ("accessattempt", "accessfailurelog", "accesslog"):
        address = f"/admin/axes/{name}/"
        assert entered(viewer).get(address).status_code == 403
        page = entered(adam).get(address)
        assert page.status_code == 200
        assert "otto" in page.content.decode()
        assert entered(owner).get(f"{address}add/").status_code == 403
    row = AccessAttempt.objects.get()
    assert entered(owner).post(f"/admin/axes/accessattempt/{row.pk}/delete/").status_code == 403
    assert PASSWORD not in row.post_data
    assert "wrong" not in row.post_data
    assert AccessLog.objects.filter(username="otto").exists()


def test_an_inactive_person_does_not_get_in(db):
    user = member("ina", "viewer")
    user.is_active = False
    user.save()
    assert not opens("ina")
