"""Imports, types and the one line: what a careless change would have to get past."""

from __future__ import annotations

import ast
import uuid
from pathlib import Path

import pytest
from django.db import transaction

from apps.brokers import reporting, wire
from apps.brokers.journal import open_call
from apps.brokers.models import Verb, WireCall
from apps.orders import dispatch, lifecycle, services
from apps.orders.models import Source
from apps.risk import gate
from apps.risk.models import Permit

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for folder in ("apps", "tradingops")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
]


def importers(module: str) -> set[str]:
    package, _, name = module.rpartition(".")
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            names: set[str] = set()
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
            if module in names or (f"{package}.{name}" in names):
                found.add(str(path.relative_to(ROOT)))
    return found


def test_only_the_gate_imports_the_sending_door():
    assert importers("apps.brokers.trading") == {"apps/risk/gate.py"}


def test_only_the_lifecycle_writes_a_status_of_an_order():
    guilty = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            writes = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"update", "create", "get_or_create", "update_or_create"}
                and any(keyword.arg == "status" for keyword in node.keywords)
                and "Modification" not in ast.unparse(node.func)
            )
            past_the_orm = isinstance(node, ast.Call) and ast.unparse(node).startswith(
                ("update_rows(Order,", "setting(Order,")
            )
            assigns = isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Attribute)
                and target.attr == "status"
                and "order" in ast.unparse(target.value).lower()
                for target in node.targets
            )
            if writes or assigns or past_the_orm:
                guilty.add(str(path.relative_to(ROOT)))
    assert guilty == {"apps/orders/lifecycle.py"}


def test_nobody_else_makes_a_network_call_to_a_broker():
    to_others = {  # Telegram, and our own address for signals
        "apps/alerts/telegram.py",
        "apps/signals/sending.py",
        "apps/signals/management/commands/send_test_signal.py",  # what may go wrong there
    }
    assert importers("requests") == to_others
    assert importers("urllib3") - to_others == {"apps/brokers/wire.py"}
    # A published file is fetched without account and token; nothing can be sent with that.
    assert importers("http.client") == {"apps/brokers/download.py"}


@pytest.mark.django_db(transaction=True)
class TestTheLine:
    @pytest.fixture
    def order(self, intent, trader, no_bells):
        return services.place(intent(), trader, Source.COMMAND)

    def call(self, order) -> WireCall:
        permit = Permit.objects.get(correlation_id=order.correlation_id)
        return open_call(
            order.account,
            Verb.PLACE,
            "place order",
            budget="ORDER",
            correlation_id=order.correlation_id,
            permit=permit.pk,
        )

    def transmit(self, call: WireCall) -> wire.Reply:
        return wire.transmit(call, "GET", "/orders", None, {"access-token": "token-1"})

    def test_objects_from_the_reading_door_cannot_send(self, account):
        for thing in (reporting.reports_of(account), reporting.stream_of(account)):
            for verb in ("place", "modify", "cancel"):
                assert not hasattr(thing, verb)

    def test_a_row_that_is_not_saved_does_not_go(self, order):
        with pytest.raises(wire.NotOnTheWire):
            self.transmit(WireCall(account=order.account, verb="PLACE"))

    def test_a_row_inside_a_transaction_does_not_go(self, order):
        with transaction.atomic():
            call = self.call(order)
            with pytest.raises(wire.NotOnTheWire):
                self.transmit(call)

    def test_a_row_of_another_process_does_not_go(self, order):
        fetched = WireCall.objects.get(pk=self.call(order).pk)
        with pytest.raises(wire.NotOnTheWire):
            self.transmit(fetched)

    def test_a_row_goes_once(self, order):
        call = self.call(order)
        self.transmit(call)
        with pytest.raises(wire.NotOnTheWire):
            self.transmit(call)

    def test_the_gate_does_not_speak_inside_a_transaction(self, order):
        with transaction.atomic(), pytest.raises(gate.InsideTransaction), gate.turn("x"):
            raise AssertionError("the turn began")

    def test_nothing_is_written_down_outside_the_claims_transaction(self, order):
        with pytest.raises(RuntimeError, match="transaction"):
            gate.Turn(order.correlation_id).write_down(order.request(), uuid.uuid4())

    def test_a_turn_is_good_for_its_own_order_only(self, order):
        with transaction.atomic(), pytest.raises(RuntimeError, match="another"):
            gate.Turn("another").write_down(order.request(), uuid.uuid4())

    def test_what_was_rolled_back_does_not_go(self, order):
        turn = gate.Turn(order.correlation_id)
        with transaction.atomic():
            taken = lifecycle.take(order.pk)
            leaving = dispatch.write_down(turn, taken)
            transaction.set_rollback(True)
        with pytest.raises(wire.NotOnTheWire):
            turn.speak(leaving.call, leaving.request)
