"""Holiday lists from files: the whole file or nothing, each bad line named, twice is once."""

from __future__ import annotations

import datetime as dt
import io
import json

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection

from apps.brokers import holiday_files
from apps.brokers.calendar import market_phase
from apps.brokers.holiday_files import BadFile
from apps.brokers.models import CalendarChange, CalendarStamp, CalendarYear, Holiday
from tests.brokers.calendar_facts import ist, seed_rows
from tests.people.conftest import adam, member, viewer  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = """\
segments,date,kind,name,opens,closes,hours,source
NSE_EQ NSE_FNO,26-Jan-2027,CLOSED,Republic Day,,,,NSE CMTR80001
MCX_COMM,2027-03-22,MORNING_CLOSED,Holi,17:00,,,MCX 1/2027
MCX_COMM,2027-01-01,EVENING_CLOSED,New Year,,17:00,,MCX 1/2027
NSE_EQ,2027-10-29,SPECIAL,Muhurat,,,"PRE_OPEN 13:30-13:45, OPEN 13:45-14:45",NSE CMTR80001
"""


@pytest.fixture
def rows(adam):  # noqa: F811
    seed_rows(adam, 2026)
    return adam


@pytest.fixture
def run(tmp_path):
    def go(text, *words, name="list.csv"):
        file = tmp_path / name
        file.write_text(text)
        out = io.StringIO()
        call_command("import_holidays", str(file), *words, stdout=out)
        return out.getvalue()

    return go


def of_2027():
    return Holiday.objects.filter(date__year=2027)


def test_a_good_list_is_stored_and_its_years_wait_for_a_person(rows, run):
    said = run(GOOD)
    assert "5 added, 0 changed, 0 as they were" in said
    assert "Entries are refused until a person confirms" in said
    assert of_2027().count() == 5
    muhurat = of_2027().get(kind="SPECIAL")
    assert muhurat.hours == "PRE_OPEN 13:30-13:45, OPEN 13:45-14:45"
    years = CalendarYear.objects.filter(year=2027)
    assert {row.segment for row in years} == {"NSE_EQ", "NSE_FNO", "MCX_COMM"}
    assert not years.exclude(confirmed_at=None).exists()
    assert market_phase("NSE_EQ", "1", ist("2027-01-27 10:00")).phase == "UNKNOWN"
    changes = CalendarChange.objects.filter(what="holiday")
    assert changes.count() == 5
    assert all("command line" in change.actor for change in changes)


def test_the_same_list_twice_is_once(rows, run):
    run(GOOD)
    history, stamp = CalendarChange.objects.count(), CalendarStamp.objects.get().value
    assert "0 added, 0 changed, 5 as they were" in run(GOOD)
    assert of_2027().count() == 5
    assert CalendarChange.objects.count() == history
    assert CalendarStamp.objects.get().value == stamp


def test_json_says_the_same(rows, run):
    entries = [
        {"segments": ["NSE_EQ"], "date": "2027-01-26", "name": "Republic Day", "source": "x"},
        {"segments": "BSE_EQ,BSE_FNO", "date": "2027-01-26", "name": "Republic Day", "source": "x"},
    ]
    assert "3 added" in run(json.dumps(entries), name="list.json")


def test_a_person_imports_and_confirms_in_one_breath(rows, run):
    said = run(GOOD, "--as", "adam", "--confirm")
    assert "refused until" not in said
    assert CalendarYear.objects.get(segment="NSE_EQ", year=2027).confirmed_by == rows
    assert market_phase("NSE_EQ", "1", ist("2027-01-27 10:00")).phase == "OPEN"
    assert market_phase("NSE_EQ", "1", ist("2027-01-26 10:00")).phase == "CLOSED"
    assert of_2027().first().confirmed_by == rows


def test_nobody_confirms_without_a_name_or_the_right(rows, run, viewer):  # noqa: F811
    with pytest.raises(CommandError, match="--confirm needs --as"):
        run(GOOD, "--confirm")
    with pytest.raises(CommandError, match="may not do that"):
        run(GOOD, "--as", "victor")
    assert not of_2027().exists()


def test_the_source_of_the_command_line_is_for_lines_that_name_none(rows, run):
    run("segments,date,name\nNSE_EQ,2027-01-26,Republic Day\n", "--source", "NSE CMTR80001")
    assert of_2027().get().source == "NSE CMTR80001"


BAD = [
    ("NSE_EQ,2027-13-01,x,s", "line 3: date: '2027-13-01' is no date"),
    ("NSE_EQ,01/26/2027,x,s", "line 3: date: '01/26/2027' is no date"),
    ("NSE_EQ,2727-01-01,x,s", "line 3: date:"),
    ("NSE,2027-01-26,x,s", "line 3: segments: 'NSE' is not one of"),
    (",2027-01-26,x,s", "line 3: segments: Name one or more of"),
    ("NSE_EQ,2027-01-26,,s", "line 3: name: This field cannot be blank."),
    ("NSE_EQ,2027-01-26,x,", "line 3: source: This field cannot be blank."),
    ("NSE_EQ,2027-02-01,x,s", "line 3: date: NSE_EQ 2027-02-01 stands there twice"),
]


@pytest.mark.parametrize(("line", "complaint"), BAD)
def test_a_bad_line_is_named_and_nothing_is_stored(rows, run, line, complaint):
    with pytest.raises(CommandError) as caught:
        run(f"segments,date,name,source\nNSE_EQ,2027-02-01,good,s\n{line}\n")
    assert complaint in str(caught.value)
    assert "nothing was stored" in str(caught.value)
    assert not of_2027().exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the column 'segments' is missing"),
        ("segments,date,name,source\n", "holds no holiday"),
        ("segments,date,name,hollyday\n", "unknown column 'hollyday'"),
        ("segments,date,name,name\n", "stands there twice"),
        ("segments,date,name,source\nNSE_EQ,2027-01-01,x,y,z\n", "more values than the header"),
        ("[1]", "a JSON list of objects"),
        ("{", "not JSON"),
        ('[{"segments": "NSE_EQ", "date": 7, "name": "x"}]', "entry 1: date: Must be text"),
        ('[{"segments": "NSE_EQ", "name": "x"}]', "the column 'date' is missing"),
    ],
)
def test_a_file_of_another_form_is_refused(text, complaint):
    with pytest.raises(BadFile, match=complaint):
        holiday_files.read(text.encode(), "source")


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ("MORNING_CLOSED,,,", "opens: Say the time"),
        ("EVENING_CLOSED,,,", "closes: Say the time"),
        ("CLOSED,17:00,,", "opens: Not for this kind"),
        ("CLOSED,,,OPEN 09:15-15:30", "hours: Only a special session"),
        ("SPECIAL,,,at night", "hours: “AT NIGHT” is not PHASE"),
        ("MORNING_CLOSED,5 pm,,", "opens: '5 pm' is no time"),
        ("HALF,,,", "kind: Value 'HALF' is not a valid choice"),
    ],
)
def test_a_bad_kind_of_day_is_named(columns, complaint):
    text = f"segments,date,name,source,kind,opens,closes,hours\nNSE_EQ,2027-01-01,x,s,{columns}\n"
    with pytest.raises(BadFile, match=complaint):
        holiday_files.read(text.encode())


def test_bytes_that_are_no_text_and_files_too_large_are_refused():
    with pytest.raises(BadFile, match="UTF-8"):
        holiday_files.read(b"\xff\xfe\x00")
    with pytest.raises(BadFile, match="larger than"):
        holiday_files.read(b"x" * 1_000_001)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        # The quote would swallow the next holiday, which nobody would miss until that day.
        ('NSE_EQ,2027-01-26,"Republic\nNSE_EQ,2027-03-22,Holi\n', "line 2: a quote is opened here"),
        ('NSE_EQ,2027-01-26,"Republic\nDay"\n', "line 2: a quote is opened here"),
        ('NSE_EQ,2027-01-26,"Republic" Day\n', "line 2: broken quoting"),
        ("NSE_EQ,2027-01-26,Re\0public\n", "line 2"),
        ("NSE_EQ,2027-01-26,Re\x1bpublic\n", "line 2: name: Must be plain text"),
    ],
)
def test_broken_lines_swallow_no_holiday(rows, run, text, complaint):
    with pytest.raises(CommandError, match=complaint):
        run(f"segments,date,name\n{text}", "--source", "s")
    assert not of_2027().exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[" * 100_000, "nested"),
        (
            '[{"segments": "NSE_EQ", "date": "2027-01-26", "name": "a\\u0000b"}]',
            "name: Must be plain",
        ),
        (
            '[{"segments": "NSE_EQ", "date": "2027-01-26", "date": "2027-01-27", "name": "x"}]',
            "date stands there twice",
        ),
        ('[{"segments": ["NSE_EQ", 7], "date": "2027-01-26", "name": "x"}]', "segments: Name one"),
    ],
)
def test_json_of_no_sure_meaning_is_refused(rows, run, text, complaint):
    with pytest.raises(CommandError, match=complaint):
        run(text, "--source", "s", name="list.json")
    assert not of_2027().exists()


def test_days_whose_year_cannot_be_confirmed_are_not_stored_either(rows, run):
    text = (
        "segments,date,name,kind,hours\nNSE_EQ,2027-01-26,Republic Day,CLOSED,\n"
        "NSE_FNO,2027-10-29,Muhurat,SPECIAL,OPEN 13:45-14:45\n"
    )
    with pytest.raises(CommandError, match=r"stored.*The list of NSE_FNO 2027 is empty"):
        run(text, "--source", "s", "--confirm", "--as", "adam")
    assert not of_2027().exists()
    assert not CalendarYear.objects.filter(year=2027, confirmed_at__isnull=False).exists()


def test_a_file_that_is_not_there_is_said_in_words(rows):
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_holidays", "/nowhere/list.csv")


# --- what an import does to a year that was confirmed -------------------------------------------


def confirmed():
    return CalendarYear.objects.get(segment="NSE_EQ", year=2026).confirmed_at is not None


def test_a_day_that_only_closes_counts_at_once_and_the_year_stays_confirmed(rows, run):
    assert market_phase("NSE_EQ", "1", ist("2026-11-26 10:00")).phase == "OPEN"
    run("segments,date,name,source\nNSE_EQ,2026-11-26,Election,CMTR2\n")
    assert confirmed()
    assert market_phase("NSE_EQ", "1", ist("2026-11-26 10:00")).phase == "CLOSED"


@pytest.mark.parametrize(
    "line",
    [
        "NSE_EQ,2026-11-28,Saturday session,s,SPECIAL,OPEN 09:15-12:30,",  # opens a day
        "NSE_EQ,2026-11-24,Guru Nanak,s,MORNING_CLOSED,,17:00",  # opens half of one
    ],
)
def test_what_opens_a_market_takes_the_confirmation_away(rows, run, line):
    said = run(f"segments,date,name,source,kind,hours,opens\n{line}\n")
    assert not confirmed()
    assert "NSE_EQ 2026" in said
    assert market_phase("NSE_EQ", "1", ist("2026-11-28 10:00")).phase == "UNKNOWN"


def test_half_an_import_is_none(rows, run, monkeypatch):
    """A breakdown in the middle leaves nothing behind."""
    calls = []

    def breaks(day, known, editor, done):
        calls.append(day)
        if len(calls) == 3:
            raise RuntimeError("the machine broke")
        return real(day, known, editor, done)

    real = holiday_files._store_one
    monkeypatch.setattr(holiday_files, "_store_one", breaks)
    with pytest.raises(RuntimeError):
        run(GOOD)
    assert not of_2027().exists()
    assert not connection.in_atomic_block


def test_the_history_says_what_differed(rows, run):
    run("segments,date,name,source\nNSE_EQ,2026-11-24,Gurpurab,CMTR2\n", "--as", "adam")
    change = CalendarChange.objects.first()
    assert (change.before["name"], change.after["name"]) == ("Guru Nanak", "Gurpurab")
    assert "date" not in change.after
    assert change.user == rows
    assert Holiday.objects.get(segment="NSE_EQ", date=dt.date(2026, 11, 24)).confirmed_by == rows
    assert User.objects.get(username="adam") == change.user
