"""Limits: tighter with one person, wider with two."""

from __future__ import annotations

import pytest

from apps.risk import approvals
from apps.risk.admin import RiskPolicyForm
from apps.risk.models import Approval, RiskPolicy
from tests.desk.conftest import account, desk_switch  # noqa: F401 - fixtures of the desk's tests
from tests.people.conftest import approval_above, entered

pytestmark = pytest.mark.django_db(transaction=True)


def in_force(account):  # noqa: F811
    return RiskPolicy.objects.filter(account=account).order_by("-version").first()


def post(person, account, **different):  # noqa: F811
    now = in_force(account)
    fields = {name: getattr(now, name) for name in RiskPolicyForm.Meta.fields}
    fields |= {"account": account.pk, "reason": "as agreed"} | different
    fields = {name: "" if value is None else value for name, value in fields.items()}
    return entered(person).post("/admin/risk/riskpolicy/add/", fields)


TIGHTER = [
    {"max_order_quantity": 10},
    {"max_order_value": "1000"},
    {"approval_above_value": "500"},
    {"protection_percent": "0.25"},
    {"price_band_percent": "5"},
    {"max_quote_age": 2},
    {"check_margin": True},
    {"order_types": ["LIMIT"]},
    {"on_outside_trade": "HALT"},
    {},
]
WIDER = [
    {"max_order_quantity": 10_000},
    {"max_order_value": "9000000"},
    {"max_open_orders": 999},
    {"max_data_age": 999},
    {"max_quote_age": 60},
    {"protection_percent": "5"},
    {"stop_protection_percent": "9"},
    {"approval_above_value": "3000"},
    {"approval_above_value": ""},
    {"approval_above_value": "", "max_order_quantity": 1},
]


@pytest.mark.parametrize("different", TIGHTER)
def test_one_person_tightens_at_once(different, account, rita):  # noqa: F811
    assert post(rita, account, **different).status_code == 302
    assert (in_force(account).version, in_force(account).created_by) == (2, "rita")
    assert not Approval.objects.exists()


@pytest.mark.parametrize("different", WIDER)
def test_one_person_alone_widens_nothing(different, account, rita, ruben):  # noqa: F811
    approval_above(account, 2000)
    assert post(rita, account, **different)["Location"] == "/admin/approvals/"
    assert in_force(account).version == 2
    asked = Approval.objects.get()
    with pytest.raises(approvals.NotAllowed):
        approvals.decide(asked.pk, rita, "x", approve=True)
    page = entered(ruben).get("/admin/approvals/").content.decode()
    assert "Wider limits for paper-one" in page
    approvals.decide(asked.pk, ruben, "agreed", approve=True)
    now = in_force(account)
    assert (now.version, now.created_by) == (3, "rita, approved by ruben")
    for name, value in different.items():
        assert str(getattr(now, name) or "").removesuffix(".00") == str(value)


LET_GO = {"check_margin": False, "refuse_unknown_margin": False, "price_band_percent": ""}


@pytest.mark.parametrize("name", LET_GO)
def test_letting_go_of_a_check_is_wider(name, account, rita, ruben):  # noqa: F811
    post(rita, account, check_margin=True, price_band_percent="5")
    before = getattr(in_force(account), name)
    assert post(rita, account, **{name: LET_GO[name]})["Location"] == "/admin/approvals/"
    assert getattr(in_force(account), name) == before
    asked = Approval.objects.get()
    assert asked.payload["wider"] == [name]
    approvals.decide(asked.pk, ruben, "agreed", approve=True)
    assert not getattr(in_force(account), name)


def test_halting_no_more_on_outside_trades_is_wider(account, rita, ruben):  # noqa: F811
    post(rita, account, on_outside_trade="HALT")
    assert post(rita, account, on_outside_trade="ALERT")["Location"] == "/admin/approvals/"
    assert in_force(account).on_outside_trade == "HALT"
    approvals.decide(Approval.objects.get().pk, ruben, "agreed", approve=True)
    assert in_force(account).on_outside_trade == "ALERT"


def test_a_new_type_of_order_is_wider(account, rita):  # noqa: F811
    post(rita, account, order_types=["LIMIT"])
    post(rita, account, order_types=["LIMIT", "MARKET"])
    assert in_force(account).order_types == ["LIMIT"]
    assert Approval.objects.get().payload["wider"] == ["order_types"]


def test_limits_changed_meanwhile_are_another_question(account, rita, ruben):  # noqa: F811
    post(rita, account, max_open_orders=999)
    post(ruben, account, max_open_orders=3)
    done = approvals.decide(Approval.objects.get().pk, ruben, "agreed", approve=True)
    assert done.result == "not done: the limits were changed since it was asked"
    assert in_force(account).max_open_orders == 3


def test_asking_twice_says_so(account, rita):  # noqa: F811
    post(rita, account, max_open_orders=999)
    post(rita, account, max_open_orders=998)
    assert Approval.objects.count() == 1
