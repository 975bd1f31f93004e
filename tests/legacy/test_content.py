"""What is kept of a row: all of it that is not secret, as far as it fits."""

from __future__ import annotations

import json
import re

import pytest

from apps.orders.legacy.content import content
from apps.orders.models import ImportedRow, LegacyImport, Order
from tests.legacy.past import Past, order

JWT = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9.eyJpc3MiOiJkaGFuIn0.NjYtc2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        '{"access_token": "SESAME"}',
        ' \n{"access_token": "SESAME"}',
        "{'access-token': 'SESAME', 'quantity': 10}",
        "{'password': 'open SESAME', 'quantity': 10}",
        '"{\\"access_token\\": \\"SESAME\\"}"',
        '"\\"{\\\\\\"access_token\\\\\\": \\\\\\"SESAME\\\\\\"}\\""',
        'not JSON: {\\"access_token\\": \\"SESAME\\"}',
        "access-token: SESAME",
        "client_id=7&api_key=SESAME&quantity=10",
        "Authorization: Bearer SESAME",
        "sent with bearer SESAME in vain",
        "[('access-token', 'SESAME'), ('quantity', '10')]",
        '{"headers": "{\\"access-token\\": \\"SESAME\\"}"}',
        '{"headers": {"Cookie": "SESAME"}}',
        '{"calls": [{"body": " {\\"pin\\": \\"SESAME\\"}"}]}',
        '{"access_token": "SESAME", "torn": ',
        "totp = 'SESAME'",
    ],
)
def test_a_secret_is_starred_however_it_is_written(text):
    kept, _cut = content({"id": "1", "raw_request": text})
    assert "SESAME" not in kept
    assert "***" in kept


@pytest.mark.parametrize(
    "text", [JWT, f"sent {JWT} in vain", f"token {JWT}", f'{{"header": "{JWT}"}}']
)
def test_a_brokers_token_is_known_by_its_looks(text):
    kept, _cut = content({"raw_request": text})
    assert "eyJ" not in kept


def test_what_stands_around_a_secret_is_kept():
    said = "{'quantity': 10, 'access-token': 'SESAME', 'price': 1400.5}"
    kept, _cut = content({"id": "1", "raw_request": said, "note": "Invalid token or expired"})
    assert json.loads(kept) == {
        "id": "1",
        "raw_request": "{'quantity': 10, 'access-token': '***', 'price': 1400.5}",
        "note": "Invalid token or expired",
    }


def test_a_secret_does_not_cost_the_row_its_long_texts():
    kept, cut = content({"raw_request": '{"token": "SESAME"}', "note": "x" * 5000})
    assert json.loads(kept) == {"raw_request": {"token": "***"}, "note": "x" * 5000}
    assert not cut


@pytest.mark.parametrize(
    "text",
    ["tokena" * 30_000, "token " * 30_000, 'token"' * 30_000, "token=" * 30_000, "eyJ-" * 30_000],
    ids=range(5),
)
def test_a_text_made_to_keep_a_pattern_busy_does_not(text):
    """It would run for hours, not seconds."""
    _kept, cut = content({"raw_request": text})
    assert cut or "***" in _kept


@pytest.mark.parametrize(
    "text",
    ['{"a": 1e400}', '{"a": NaN}', '{"a": ' + "9" * 4300 + "}", '{"a": "\\ud800"}',
     '{"\\u0000": 1}', '"\\u0000"', "[" * 5000, '{"a": ' * 990 + "1" + "}" * 990],
    ids=range(8),
)  # fmt: skip
def test_json_that_no_database_holds_becomes_some_that_it_does(text):
    kept, _cut = content({"id": "1", "raw_request": text, "price": float("inf"), "x": b"\xff"})
    assert json.loads(kept)["id"] == "1"
    assert not re.search("[\x00\ud800-\udfff]", str(json.loads(kept)))


def test_of_a_row_over_8_kb_each_column_keeps_its_beginning():
    row = {"id": "1", "status": "TRADED", "raw_request": "x" * 3000,
           "raw_response": '{"a": ["' + '","'.join(["y" * 1500] * 8) + '"]}'}  # fmt: skip
    text, cut = content(row)
    kept = json.loads(text)
    assert cut
    assert len(text) < 8400
    assert (kept["id"], kept["status"], kept["raw_request"]) == ("1", "TRADED", "x" * 3000)
    assert kept["raw_response"]["cut"].startswith('{"a": ["yyy')
    assert len(kept["raw_response"]["cut"]) > 4500


def test_a_table_of_very_many_columns_stays_bounded():
    text, cut = content({f"column {number}": "x" * 500 for number in range(100)})
    assert cut
    assert len(text) < 30_000


@pytest.mark.django_db(transaction=True)
def test_cut_rows_are_told_of(migrate, tmp_path):
    past = Past(tmp_path / "a.sqlite3").orders(order("1", raw_request="x" * 9000), order("2"))
    past.add("config", key="leader_access_token", value="SESAME")
    migrate(past.done())
    assert "orders: 1 over 8 kB, cut in the longest columns" in LegacyImport.objects.get().notes
    assert Order.every.count() == 2
    said = json.dumps(list(ImportedRow.objects.values_list("content", flat=True)))
    assert "SESAME" not in said
