"""People are changed by others, within their own rights, and every change is written down."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import Error, connection, transaction

from apps.people import roles
from apps.people.models import PersonChange
from tests.people.conftest import entered, fresh, member

pytestmark = pytest.mark.django_db(transaction=True)
NEW = {
    "username": "nina",
    "usable_password": "true",
    "password1": "long and unusual 7",
    "password2": "long and unusual 7",
    "role": "trader",
}


def form_of(user, **different):
    fields = {
        "username": user.username,
        "first_name": "",
        "last_name": "",
        "email": "",
        "role": roles.role_of(user),
        "is_active": user.is_active,
    }
    if user.is_superuser:
        fields["is_superuser"] = "on"
    fields |= different
    return {name: value for name, value in fields.items() if value not in (False, None)}


def change(by, whom, **different):
    address = f"/admin/auth/user/{whom.pk}/change/"
    return entered(by).post(address, form_of(whom, **different))


def test_an_administrator_makes_a_trader(adam):
    assert entered(adam).post("/admin/auth/user/add/", NEW).status_code == 302
    nina = User.objects.get(username="nina")
    assert (roles.role_of(nina), nina.is_staff, nina.is_superuser) == ("trader", True, False)
    row = PersonChange.objects.get(person=nina)
    assert (row.by, row.what, row.before) == (adam, "created", {})
    assert row.after["groups"] == ["trader"]
    assert "password" not in row.after


def test_a_change_of_role_says_before_and_after(adam, tara):
    assert change(adam, tara, role="risk officer").status_code == 302
    assert roles.role_of(fresh(tara)) == "risk officer"
    row = PersonChange.objects.get()
    assert (row.before, row.after) == ({"groups": ["trader"]}, {"groups": ["risk officer"]})


def test_nothing_changed_is_nothing_written(adam, tara):
    change(adam, tara)
    assert not PersonChange.objects.exists()


def test_no_role_is_no_way_in(adam, tara):
    change(adam, tara, role="")
    assert not fresh(tara).is_staff


def test_nobody_changes_their_own_rights(adam):
    change(adam, adam, role="viewer", is_superuser="on", email="adam@example.com")
    now = fresh(adam)
    assert (roles.role_of(now), now.is_superuser) == ("administrator", False)
    assert now.email == "adam@example.com"


def test_an_administrator_makes_no_superuser_and_touches_none(adam, tara, owner):
    change(adam, tara, is_superuser="on", user_permissions=["1"], groups=["1"])
    assert not fresh(tara).is_superuser
    assert not fresh(tara).user_permissions.exists()
    assert change(adam, owner, email="x@example.com").status_code == 403
    password = {"password1": NEW["password1"], "password2": NEW["password1"]}
    address = f"/admin/auth/user/{owner.pk}/password/"
    assert entered(adam).post(address, password).status_code == 403
    assert fresh(owner).check_password("correct horse battery")


@pytest.mark.parametrize("way", [{"is_superuser": None}, {"is_active": False}])
def test_the_last_superuser_stays(way, owner):
    page = change(owner, owner, **way)
    assert "last superuser" in page.content.decode()
    assert fresh(owner).is_superuser
    assert fresh(owner).is_active
    second = member("olga", superuser=True)
    assert change(owner, second, **way).status_code == 302


def test_people_are_made_inactive_and_not_deleted(owner, tara):
    assert entered(owner).post(f"/admin/auth/user/{tara.pk}/delete/").status_code == 403
    change(owner, tara, is_active=False)
    assert not fresh(tara).is_active
    assert PersonChange.objects.get().after == {"is_active": False}


def test_a_new_password_is_recorded_but_not_what_it_is(adam, tara):
    password = {"password1": NEW["password1"], "password2": NEW["password1"]}
    password["usable_password"] = "true"
    answer = entered(adam).post(f"/admin/auth/user/{tara.pk}/password/", password)
    assert answer.status_code == 302
    row = PersonChange.objects.get()
    assert (row.what, row.by, row.before, row.after) == ("password set", adam, {}, {})


def test_what_was_written_stays(adam, tara):
    change(adam, tara, role="viewer")
    for sql in ("UPDATE people_personchange SET what = 'x'", "DELETE FROM people_personchange"):
        with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
    assert entered(adam).get("/admin/people/personchange/").status_code == 200
    row = PersonChange.objects.get()
    address = f"/admin/people/personchange/{row.pk}/delete/"
    assert entered(adam).post(address, {"post": "yes"}).status_code == 403


def test_roles_cannot_be_edited(owner):
    assert entered(owner).post("/admin/auth/group/1/change/", {"name": "x"}).status_code in {
        302,
        403,
    }
    assert entered(owner).post("/admin/auth/group/add/", {"name": "x"}).status_code == 403


def test_keys_of_second_factors_have_no_page(owner):
    assert entered(owner).get("/admin/otp_totp/totpdevice/").status_code == 404
    assert entered(owner).get("/admin/otp_static/staticdevice/").status_code == 404
