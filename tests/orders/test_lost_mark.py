"""A pass that the database interrupts leaves the account marked, as a failed read does."""

from __future__ import annotations

import pytest
from django.db import OperationalError

from apps.brokers.models import BrokerAccount
from apps.orders import reconcile

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_times")]


def test_a_pass_that_the_database_interrupts_leaves_the_account_marked(
    account, exchange, monkeypatch
):
    reconcile.reconcile(account)
    BrokerAccount.objects.filter(pk=account.pk).update(reconcile_wanted=True)

    def interrupted(*_):
        raise OperationalError("deadlock detected")

    with monkeypatch.context() as patched:
        patched.setattr(reconcile, "_settle_changes", interrupted)
        with pytest.raises(OperationalError):
            reconcile.reconcile(account)
    account.refresh_from_db()
    assert account.reconcile_wanted
