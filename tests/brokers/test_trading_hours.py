"""The arithmetic of the calendar: the days on which it matters, and what always holds."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.brokers.market import EVERY_TYPE, Asked, Phase, refusal, takes_until
from apps.brokers.session_rules import (
    DayKind,
    Daylight,
    Session,
    SpecialDay,
    Subject,
    daylight_of,
    read_hours,
    written,
)
from apps.brokers.trading_hours import ANYTHING, IST, Calendar, contradictions
from tests.brokers.calendar_facts import FNO_SHARE, SHARE, first_calendar, ist

CALENDAR = first_calendar(2025, 2026)
UNSURE = Subject("NEWCO", derivatives=None)


def market(segment, when, subject=ANYTHING, calendar=CALENDAR):
    return calendar.market(segment, ist(when), subject)


BOUNDARIES = [
    # continuous trading to the second
    ("NSE_EQ", "2026-11-23 09:14:59", SHARE, "PRE_OPEN"),
    ("NSE_EQ", "2026-11-23 09:15:00", SHARE, "OPEN"),
    ("NSE_EQ", "2026-11-23 15:29:59", SHARE, "OPEN"),
    ("NSE_EQ", "2026-11-23 15:30:00", SHARE, "CLOSED"),
    ("NSE_EQ", "2026-11-23 15:50:00", SHARE, "POST_CLOSE"),
    ("NSE_EQ", "2026-11-23 16:00:00", SHARE, "CLOSED"),
    # shares with derivatives: the closing auction since 3 Aug 2026
    ("NSE_EQ", "2026-07-31 15:16:00", FNO_SHARE, "OPEN"),
    ("NSE_EQ", "2026-08-03 15:14:59", FNO_SHARE, "OPEN"),
    ("NSE_EQ", "2026-08-03 15:15:00", FNO_SHARE, "CLOSING_AUCTION"),
    ("NSE_EQ", "2026-08-03 15:16:00", FNO_SHARE, "CLOSING_AUCTION"),
    ("NSE_EQ", "2026-08-03 15:16:00", SHARE, "OPEN"),
    ("NSE_EQ", "2026-08-03 15:16:00", UNSURE, "UNKNOWN"),
    ("NSE_EQ", "2026-08-03 15:14:59", UNSURE, "OPEN"),
    ("NSE_EQ", "2026-08-03 15:49:59", FNO_SHARE, "CLOSING_AUCTION"),
    ("BSE_EQ", "2026-08-03 15:16:00", FNO_SHARE, "CLOSING_AUCTION"),
    ("BSE_EQ", "2026-08-03 15:16:00", Subject("CDSL", derivatives=True), "OPEN"),
    ("NSE_EQ", "2026-08-03 15:16:00", Subject("CDSL", derivatives=True), "CLOSING_AUCTION"),
    # post-close moved with it
    ("NSE_EQ", "2026-07-31 15:40:00", SHARE, "POST_CLOSE"),
    ("NSE_EQ", "2026-08-03 15:40:00", SHARE, "CLOSED"),
    # equity derivatives close ten minutes later since 3 Aug 2026
    ("NSE_FNO", "2026-07-31 15:30:00", ANYTHING, "CLOSED"),
    ("NSE_FNO", "2026-08-03 15:39:59", ANYTHING, "OPEN"),
    ("NSE_FNO", "2026-08-03 15:40:00", ANYTHING, "CLOSED"),
    ("NSE_FNO", "2026-11-23 09:10:00", ANYTHING, "CLOSED"),
    # currency, and its own holidays
    ("NSE_CURRENCY", "2026-11-23 16:59:59", ANYTHING, "OPEN"),
    ("NSE_CURRENCY", "2026-11-23 17:00:00", ANYTHING, "CLOSED"),
    ("NSE_CURRENCY", "2026-08-26 10:00:00", ANYTHING, "CLOSED"),
    ("NSE_EQ", "2026-08-26 10:00:00", ANYTHING, "OPEN"),
    # commodity follows daylight saving in New York
    ("MCX_COMM", "2026-03-06 23:54:00", ANYTHING, "OPEN"),
    ("MCX_COMM", "2026-03-09 23:29:59", ANYTHING, "OPEN"),
    ("MCX_COMM", "2026-03-09 23:31:00", ANYTHING, "CLOSED"),
    ("MCX_COMM", "2026-10-30 23:31:00", ANYTHING, "CLOSED"),
    ("MCX_COMM", "2026-11-02 23:54:00", ANYTHING, "OPEN"),
    ("MCX_COMM", "2026-11-02 23:55:00", ANYTHING, "CLOSED"),
    # half holidays and a shut day of commodity
    ("MCX_COMM", "2026-11-24 16:59:59", ANYTHING, "CLOSED"),
    ("MCX_COMM", "2026-11-24 17:00:00", ANYTHING, "OPEN"),
    ("MCX_COMM", "2026-01-01 16:59:59", ANYTHING, "OPEN"),
    ("MCX_COMM", "2026-01-01 17:00:00", ANYTHING, "CLOSED"),
    ("MCX_COMM", "2026-12-25 20:00:00", ANYTHING, "CLOSED"),
    # holidays and weekends
    ("NSE_EQ", "2026-11-24 10:00:00", ANYTHING, "CLOSED"),
    ("NSE_EQ", "2026-01-15 10:00:00", ANYTHING, "CLOSED"),
    ("NSE_EQ", "2026-11-21 10:00:00", ANYTHING, "CLOSED"),
    # special sessions: a Saturday, a Sunday, Muhurat
    ("NSE_EQ", "2025-02-01 10:00:00", ANYTHING, "OPEN"),
    ("NSE_EQ", "2026-02-01 10:00:00", ANYTHING, "OPEN"),
    ("MCX_COMM", "2026-02-01 17:00:00", ANYTHING, "CLOSED"),
    ("NSE_EQ", "2025-10-21 10:00:00", ANYTHING, "CLOSED"),
    ("NSE_EQ", "2025-10-21 13:45:00", ANYTHING, "OPEN"),
    ("NSE_EQ", "2025-10-21 14:45:00", ANYTHING, "CLOSED"),
    ("MCX_COMM", "2025-10-21 20:00:00", ANYTHING, "CLOSED"),
    # what nobody knows
    ("NSE_EQ", "2026-11-08 18:30:00", ANYTHING, "UNKNOWN"),
    ("NSE_EQ", "2027-01-04 10:00:00", ANYTHING, "UNKNOWN"),
    ("INDEX", "2026-11-23 10:00:00", ANYTHING, "UNKNOWN"),
]


@pytest.mark.parametrize(("segment", "when", "subject", "phase"), BOUNDARIES)
def test_the_phase_at_each_boundary(segment, when, subject, phase):
    assert market(segment, when, subject).phase == phase


@pytest.mark.parametrize(
    ("when", "types"),
    [
        ("2026-09-04 09:06:00", {"LIMIT", "MARKET"}),
        ("2026-09-04 09:07:59", {"LIMIT", "MARKET"}),
        ("2026-09-04 09:08:00", set()),
        ("2026-09-07 09:04:59", {"LIMIT", "MARKET"}),
        ("2026-09-07 09:05:00", {"LIMIT"}),
        ("2026-09-07 09:09:59", {"LIMIT"}),
        ("2026-09-07 09:10:00", set()),
        ("2026-09-07 09:15:00", {"LIMIT", "MARKET", "STOP_LIMIT"}),
        ("2026-08-03 15:19:59", set()),
        ("2026-08-03 15:20:00", {"LIMIT", "MARKET"}),
        ("2026-08-03 15:25:00", {"LIMIT"}),
        ("2026-08-03 15:30:00", set()),
    ],
)
def test_what_is_taken_before_the_open_and_in_the_closing_auction(when, types):
    assert market("NSE_EQ", when, FNO_SHARE).order_types == types


@pytest.mark.parametrize(
    ("when", "unsure"),
    [
        ("2026-09-04 09:06:59", False),
        ("2026-09-04 09:07:00", True),
        ("2026-09-07 09:07:59", False),
        ("2026-09-07 09:08:00", True),
        ("2026-08-03 15:27:59", False),
        ("2026-08-03 15:28:00", True),
    ],
)
def test_the_minutes_in_which_the_exchange_ends_a_phase_at_random(when, unsure):
    assert market("NSE_EQ", when, FNO_SHARE).unsure is unsure


SENTENCES = [
    (
        "NSE_EQ",
        "2026-11-24 10:00",
        "NSE_EQ is closed (holiday: Guru Nanak); opens Wed 25 Nov 2026 09:15 IST",
    ),
    ("NSE_EQ", "2026-11-21 10:00", "NSE_EQ is closed (Saturday); opens Mon 23 Nov 2026 09:15 IST"),
    ("NSE_EQ", "2026-11-23 16:10", "opens Wed 25 Nov 2026 09:15 IST"),
    ("NSE_EQ", "2026-11-23 10:00", "NSE_EQ is open until 15:30 IST"),
    ("MCX_COMM", "2026-11-24 09:00", "opens Tue 24 Nov 2026 17:00 IST"),
    (
        "NSE_EQ",
        "2026-12-31 16:10",
        (
            "NSE_EQ is closed (outside its hours); the next opening is not known "
            "(the holidays of 2027 are not confirmed)"
        ),
    ),
    (
        "NSE_EQ",
        "2027-01-04 10:00",
        "NSE_EQ is not known to be open (the holidays of 2027 are not confirmed)",
    ),
    ("NSE_EQ", "2026-11-08 18:30", "the hours of Muhurat trading are not announced"),
    ("NSE_EQ", "2026-11-07 12:00", "the next opening is not known"),
]


@pytest.mark.parametrize(("segment", "when", "text"), SENTENCES)
def test_the_sentence_says_why_and_when_it_opens(segment, when, text):
    assert text in market(segment, when).sentence()


# --- what an order hears ------------------------------------------------------------------------


def asked(order_type="LIMIT", validity="DAY", **more):
    return Asked(order_type=order_type, validity=validity, **more)


def heard(when, subject=FNO_SHARE, segment="NSE_EQ", **wish):
    return refusal(market(segment, when, subject), asked(**wish))


TAKEN = [
    ("2026-11-23 09:15:00", {}),
    ("2026-11-23 09:03:00", {"order_type": "MARKET"}),
    ("2026-11-23 09:06:00", {}),
    ("2026-11-23 15:26:00", {}),
    ("2026-11-23 15:29:00", {"exiting": True}),  # the auction may be over: an exit tries
    ("2027-01-04 10:00:00", {"exiting": True}),  # nobody knows: an exit is not trapped
    ("2026-11-08 03:00:00", {"exiting": True}),
    ("2026-11-23 10:00:00", {"validity": "IOC"}),
    ("2026-11-23 10:00:00", {"after_market": True, "changing": True}),
]
REFUSED = [
    ("2026-11-23 09:06:00", {"order_type": "MARKET"}, "takes only LIMIT orders until 09:10 IST"),
    ("2026-11-23 09:03:00", {"order_type": "STOP_LIMIT"}, "takes only LIMIT and MARKET"),
    ("2026-11-23 09:03:00", {"validity": "IOC"}, "no IOC"),
    ("2026-11-23 09:09:00", {}, "may end at any moment"),
    ("2026-11-23 15:16:00", {}, "in its closing auction (reference price, no orders)"),
    ("2026-11-23 15:16:00", {"exiting": True}, "opens Wed 25 Nov 2026 09:15 IST"),
    ("2026-11-23 15:26:00", {"order_type": "MARKET", "exiting": True}, "takes only LIMIT"),
    ("2026-11-23 15:55:00", {}, "post-close"),
    ("2026-11-24 10:00:00", {"exiting": True}, "holiday: Guru Nanak"),
    ("2027-01-04 10:00:00", {}, "2027 are not confirmed"),
    ("2026-11-23 10:00:00", {"after_market": True}, "send the order without after-market"),
    ("2026-11-23 17:00:00", {"after_market": True}, "no window for after-market orders"),
    ("2027-01-04 17:00:00", {"after_market": True, "exiting": True}, "not confirmed"),
]


@pytest.mark.parametrize(("when", "wish"), TAKEN)
def test_the_market_takes_it(when, wish):
    assert heard(when, **wish) is None


@pytest.mark.parametrize(("when", "wish", "text"), REFUSED)
def test_the_market_does_not_take_it_and_says_why(when, wish, text):
    assert text in heard(when, **wish)


AFTER_MARKET = Session(
    segment="NSE_EQ",
    phase=Phase.AFTER_MARKET,
    opens=dt.time(16),
    closes=dt.time(0),
    valid_from=dt.date(2026, 1, 1),
    weekdays=frozenset({1, 2, 3, 4, 5, 6, 7}),
    order_types=frozenset({"LIMIT"}),
)
EVENING = Calendar((*CALENDAR.sessions, AFTER_MARKET), CALENDAR.days, CALENDAR.years)


@pytest.mark.parametrize(
    ("when", "wish", "text"),
    [
        ("2026-11-23 15:59:59", {}, "no window"),
        ("2026-11-23 16:00:00", {}, None),
        ("2026-11-23 23:59:59", {}, None),
        ("2026-11-23 16:00:00", {"order_type": "MARKET"}, "takes no MARKET"),
        ("2026-11-23 16:00:00", {"validity": "IOC"}, "IOC"),
        ("2026-11-24 17:00:00", {}, "no window"),  # a holiday shuts this window too
        ("2026-12-31 17:00:00", {}, "nothing can wait"),
        ("2026-11-23 17:00:00", {"changing": True}, None),
    ],
)
def test_after_market_orders_are_taken_in_their_window_alone(when, wish, text):
    answer = refusal(
        market("NSE_EQ", when, SHARE, EVENING), asked(**({"after_market": True} | wish))
    )
    assert (answer is None) if text is None else text in answer


def test_nothing_may_leave_after_the_market_stops_taking_it():
    assert takes_until(market("NSE_EQ", "2026-11-23 15:14:59", FNO_SHARE), asked()) == ist(
        "2026-11-23 15:15"
    )
    evening = market("NSE_EQ", "2026-11-23 17:00", SHARE, EVENING)
    assert takes_until(evening, asked(after_market=True)) == ist("2026-11-24 00:00")
    assert takes_until(market("NSE_EQ", "2027-01-04 10:00"), asked()) is None


# --- what must hold of any calendar --------------------------------------------------------------

DATES = st.dates(dt.date(2024, 1, 1), dt.date(2030, 12, 31))
TIMES = st.times()
HOLIDAYS = st.frozensets(DATES, max_size=40)
YEARS = range(2023, 2032)


def calendar_with(holidays, years=YEARS):
    sessions = [
        Session(
            segment="MCX_COMM",
            phase=Phase.OPEN,
            opens=dt.time(9),
            closes=closes,
            valid_from=dt.date(2020, 1, 1),
            daylight=half,
            order_types=EVERY_TYPE,
            ioc=True,
        )
        for half, closes in ((Daylight.SUMMER, dt.time(23, 30)), (Daylight.WINTER, dt.time(23, 55)))
    ]
    days = [
        SpecialDay(segment="MCX_COMM", date=day, kind=DayKind.CLOSED, name="x") for day in holidays
    ]
    return Calendar(tuple(sessions), tuple(days), frozenset(("MCX_COMM", year) for year in years))


@given(holidays=HOLIDAYS, time=TIMES, data=st.data())
def test_a_market_is_never_open_on_a_holiday(holidays, time, data):
    day = data.draw(st.sampled_from(sorted(holidays)) if holidays else DATES)
    calendar = calendar_with(holidays | {day})
    now = dt.datetime.combine(day, time, IST)
    assert calendar.market("MCX_COMM", now, ANYTHING).phase is Phase.CLOSED


@given(holidays=HOLIDAYS, day=DATES, time=TIMES)
def test_the_next_opening_lies_ahead_and_the_market_is_open_then(holidays, day, time):
    calendar = calendar_with(holidays)
    now = dt.datetime.combine(day, time, IST)
    opening, _why = calendar.next_opening("MCX_COMM", now, ANYTHING)
    assert opening is not None
    assert opening > now
    assert calendar.market("MCX_COMM", opening, ANYTHING).phase is Phase.OPEN
    before = calendar.market("MCX_COMM", opening - dt.timedelta(seconds=1), ANYTHING)
    assert before.phase is Phase.CLOSED


@given(holidays=HOLIDAYS, day=DATES, time=TIMES)
def test_an_open_market_closes_ahead_and_takes_nothing_from_then_on(holidays, day, time):
    calendar = calendar_with(holidays)
    found = calendar.market("MCX_COMM", dt.datetime.combine(day, time, IST), ANYTHING)
    if found.phase is Phase.OPEN:
        now = dt.datetime.combine(day, time, IST)
        assert found.closes_at > now
        last = found.closes_at - dt.timedelta(microseconds=1)
        assert calendar.market("MCX_COMM", last, ANYTHING).takes_orders
        assert not calendar.market("MCX_COMM", found.closes_at, ANYTHING).takes_orders


@given(day=DATES)
@settings(max_examples=300)
def test_the_evening_ends_later_while_new_york_keeps_standard_time(day):
    windows = calendar_with(()).plan("MCX_COMM", day).windows
    if day.isoweekday() > 5:
        assert windows == ()
        return
    late = daylight_of(day) is Daylight.WINTER
    assert [w.end.astimezone(IST).time() for w in windows] == [dt.time(23, 55 if late else 30)]


@given(day=DATES, time=TIMES)
def test_the_hour_is_judged_in_india_whatever_zone_asks(day, time):
    calendar = calendar_with(())
    now = dt.datetime.combine(day, time, IST)
    here = calendar.market("MCX_COMM", now, ANYTHING)
    assert calendar.market("MCX_COMM", now.astimezone(dt.UTC), ANYTHING) == here


@given(holidays=HOLIDAYS, day=DATES, time=TIMES)
def test_an_unconfirmed_year_is_never_called_open_or_closed(holidays, day, time):
    calendar = calendar_with(holidays, years=())
    now = dt.datetime.combine(day, time, IST)
    assert calendar.market("MCX_COMM", now, ANYTHING).phase is Phase.UNKNOWN
    assert calendar.next_opening("MCX_COMM", now, ANYTHING)[0] is None


@given(day=DATES, time=TIMES, subject=st.sampled_from([SHARE, FNO_SHARE, UNSURE, ANYTHING]))
def test_what_an_entry_may_do_an_exit_may_do_too(day, time, subject):
    now = dt.datetime.combine(day, time, IST)
    for segment in ("NSE_EQ", "NSE_FNO", "MCX_COMM"):
        found = CALENDAR.market(segment, now, subject)
        if refusal(found, asked()) is None:
            assert refusal(found, asked(exiting=True)) is None


# --- rules that fight, and hours in words --------------------------------------------------------


def test_the_first_facts_do_not_contradict_each_other():
    assert list(contradictions(CALENDAR.sessions)) == []


def test_two_phases_at_one_moment_are_found_and_nothing_is_guessed():
    longer = Session(
        segment="NSE_EQ",
        phase=Phase.OPEN,
        opens=dt.time(9, 15),
        closes=dt.time(15, 30),
        valid_from=dt.date(2026, 10, 1),
        with_derivatives=True,
        order_types=EVERY_TYPE,
    )
    rules = (*CALENDAR.sessions, longer)
    assert "01 Oct 2026" in next(contradictions(rules))
    unclear = Calendar(rules, CALENDAR.days, CALENDAR.years)
    assert market("NSE_EQ", "2026-11-23 10:00", FNO_SHARE, unclear).phase is Phase.UNKNOWN
    assert market("NSE_EQ", "2026-11-23 10:00", SHARE, unclear).phase is Phase.OPEN


def test_a_rule_for_a_name_counts_instead_of_the_general_one():
    oil = Session(
        segment="MCX_COMM",
        phase=Phase.OPEN,
        opens=dt.time(9),
        closes=dt.time(21),
        valid_from=dt.date(2026, 1, 1),
        names=frozenset({"MENTHAOIL"}),
        order_types=EVERY_TYPE,
    )
    calendar = Calendar((*CALENDAR.sessions, oil), CALENDAR.days, CALENDAR.years)
    assert list(contradictions(calendar.sessions)) == []
    late = "2026-11-23 21:30"
    assert market("MCX_COMM", late, Subject("MENTHAOIL"), calendar).phase is Phase.CLOSED
    assert market("MCX_COMM", late, Subject("GOLD"), calendar).phase is Phase.OPEN


def test_hours_are_read_as_they_are_written():
    hours = read_hours(" PRE_OPEN  13:30-13:45 ; OPEN 13:45-14:45")
    assert written(hours) == "PRE_OPEN 13:30-13:45, OPEN 13:45-14:45"
    assert read_hours(written(hours)) == hours
    assert read_hours("") == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("13:45-14:45", "PHASE HH:MM-HH:MM"),
        ("CLOSED 13:45-14:45", "PHASE HH:MM-HH:MM"),
        ("OPEN 9:15-15:30", "PHASE HH:MM-HH:MM"),
        ("OPEN 25:00-26:00", "does not exist"),
        ("OPEN 15:00-14:00", "ends before it begins"),
    ],
)
def test_hours_that_make_no_sense_are_named(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        read_hours(text)
