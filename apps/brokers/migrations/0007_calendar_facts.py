"""The first facts of the calendar, each with its source. From here on people keep the rows.

Nothing is here that the circulars named do not say: no pre-open of futures and no after-market
windows (their times were not found), no hours of the Muhurat session of 8 Nov 2026 (not
announced in what was found), no hours of agricultural contracts. No year is confirmed: that is
for a person who compares the list with the circular.
"""

import datetime as dt

from django.db import migrations

SEBI = "SEBI HO/47/11/11(3)2025-MRD-POD2/I/2765/2026 of 16 Jan 2026"
AUCTION = f"{SEBI}; NSE CMTR72394, CMTR74466; BSE 20260610-41"
DERIVATIVES = f"{SEBI}; NSE FAOP74467; BSE 20260610-41"
PRE_OPEN = "NSE CMTR74969; BSE 20260803-36"
BEFORE = "Exchange hours in force until the closing auction session began on 3 Aug 2026"
COMMODITY = "MCX and NSE commodity hours; NSE COM72699 for the dates of 2026"
CURRENCY_HOURS = "Exchange hours of currency derivatives, 9:00 to 17:00"
LIST_2025 = "NSE CMTR65587"
LIST_2026 = "NSE CMTR71775, FAOP71777; BSE 20251212-8"
ELECTION = "NSE CMTR72260, FAOP72262; BSE 20260112-8 (declared on 12 Jan 2026)"
MCX_2026 = "MCX holiday tables of 2026 in the press, which agree with BSE's commodity notice"

EQUITY = ("NSE_EQ", "BSE_EQ")
FUTURES = ("NSE_FNO", "BSE_FNO")
CURRENCY = ("NSE_CURRENCY", "BSE_CURRENCY")
MCX = ("MCX_COMM",)
ANY, TWO, LIMIT, NONE = ["LIMIT", "MARKET", "STOP_LIMIT"], ["LIMIT", "MARKET"], ["LIMIT"], []

START = dt.date(2025, 1, 1)
AUGUST, SEPTEMBER = dt.date(2026, 8, 3), dt.date(2026, 9, 7)
JULY_ENDS, OLD_PRE_OPEN_ENDS = dt.date(2026, 7, 31), dt.date(2026, 9, 6)
ALL, STOCKS = "EVERYTHING", "WITH_DERIVATIVES"

# segments, applies to, phase, opens, closes, from, to, order types, may close from, note, source
RULES = [
    (EQUITY, ALL, "PRE_OPEN", "09:00", "09:08", START, OLD_PRE_OPEN_ENDS, TWO, "09:07", "", BEFORE),
    (EQUITY, ALL, "PRE_OPEN", "09:08", "09:12", START, OLD_PRE_OPEN_ENDS, NONE, None, "orders are matched", BEFORE),
    (EQUITY, ALL, "PRE_OPEN", "09:12", "09:15", START, OLD_PRE_OPEN_ENDS, NONE, None, "buffer", BEFORE),
    (EQUITY, ALL, "PRE_OPEN", "09:00", "09:05", SEPTEMBER, None, TWO, None, "", PRE_OPEN),
    (EQUITY, ALL, "PRE_OPEN", "09:05", "09:10", SEPTEMBER, None, LIMIT, "09:08", "limit orders only", PRE_OPEN),
    (EQUITY, ALL, "PRE_OPEN", "09:10", "09:12", SEPTEMBER, None, NONE, None, "orders are matched", PRE_OPEN),
    (EQUITY, ALL, "PRE_OPEN", "09:12", "09:15", SEPTEMBER, None, NONE, None, "buffer", PRE_OPEN),
    (EQUITY, ALL, "OPEN", "09:15", "15:30", START, None, ANY, None, "", f"{BEFORE}; {AUCTION}"),
    (EQUITY, STOCKS, "OPEN", "09:15", "15:15", AUGUST, None, ANY, None, "", AUCTION),
    (EQUITY, STOCKS, "CLOSING_AUCTION", "15:15", "15:20", AUGUST, None, NONE, None, "reference price, no orders", AUCTION),
    (EQUITY, STOCKS, "CLOSING_AUCTION", "15:20", "15:25", AUGUST, None, TWO, None, "", AUCTION),
    (EQUITY, STOCKS, "CLOSING_AUCTION", "15:25", "15:30", AUGUST, None, LIMIT, "15:28", "limit orders only", AUCTION),
    (EQUITY, STOCKS, "CLOSING_AUCTION", "15:30", "15:35", AUGUST, None, NONE, None, "orders are matched", AUCTION),
    (EQUITY, STOCKS, "CLOSING_AUCTION", "15:35", "15:50", AUGUST, None, NONE, None, "buffer", AUCTION),
    (EQUITY, ALL, "POST_CLOSE", "15:40", "16:00", START, JULY_ENDS, NONE, None, "trades at the closing price", BEFORE),
    (EQUITY, ALL, "POST_CLOSE", "15:50", "16:00", AUGUST, None, NONE, None, "trades at the closing price", AUCTION),
    (FUTURES, ALL, "OPEN", "09:15", "15:30", START, JULY_ENDS, ANY, None, "", BEFORE),
    (FUTURES, ALL, "OPEN", "09:15", "15:40", AUGUST, None, ANY, None, "", DERIVATIVES),
    (CURRENCY, ALL, "OPEN", "09:00", "17:00", START, None, ANY, None, "", CURRENCY_HOURS),
]
# BSE's own closing auction leaves these shares out (BSE 20260610-41).
NOT_AUCTIONED = {"BSE_EQ": "BSE,CDSL"}
EVENINGS = [("SUMMER", "23:30"), ("WINTER", "23:55")]

EXCHANGES = EQUITY + FUTURES
# The first list names one of its days; the other names were not in what was found.
DAYS_2025 = ["02-26", "03-14", "03-31", "04-10", "04-14", "04-18", "05-01", "08-15", "08-27", "10-02", "10-22", "11-05", "12-25"]
DAYS_2026 = {
    "01-26": "Republic Day",
    "03-03": "Holi",
    "03-26": "Ram Navami",
    "03-31": "Mahavir Jayanti",
    "04-03": "Good Friday",
    "04-14": "Ambedkar",
    "05-01": "Maharashtra Day",
    "05-28": "Bakri Id",
    "06-26": "Muharram",
    "09-14": "Ganesh Chaturthi",
    "10-02": "Gandhi Jayanti",
    "10-20": "Dussehra",
    "11-10": "Balipratipada",
    "11-24": "Guru Nanak",
    "12-25": "Christmas",
}
WEEKENDS_2026 = ["02-15", "03-21", "08-15"]  # listed, though no session falls on them
CURRENCY_2026 = ["02-19", "03-19", "04-01", "08-26"]
MCX_CLOSED_2025 = ["04-18", "08-15", "10-02", "12-25"]
MCX_CLOSED_2026 = ["01-26", "04-03", "10-02", "12-25"]
HOLIDAY = "Trading holiday"
EVENING, MORNING = {"closes": dt.time(17)}, {"opens": dt.time(17)}
BUDGET_2025 = "Special session of the Union Budget, Sat 1 Feb 2025"
BUDGET_2026 = "Special session of the Union Budget, Sun 1 Feb 2026"
MUHURAT_2025 = "NSE and MCX circulars on the Muhurat session of 21 Oct 2025"
MUHURAT_2026 = f"{LIST_2026}: the session is confirmed for the day, its hours were to be notified"


def facts_of_holidays():
    """(segments, date, kind, name, source, other columns)"""
    for day in DAYS_2025:
        yield EXCHANGES, f"2025-{day}", "CLOSED", HOLIDAY, LIST_2025, {}
    for day, name in DAYS_2026.items():
        yield EXCHANGES, f"2026-{day}", "CLOSED", name, LIST_2026, {}
        yield CURRENCY, f"2026-{day}", "CLOSED", name, LIST_2026, {}
    yield EXCHANGES + CURRENCY, "2026-01-15", "CLOSED", "Municipal election", ELECTION, {}
    for day in WEEKENDS_2026:
        yield EXCHANGES + CURRENCY, f"2026-{day}", "CLOSED", HOLIDAY, LIST_2026, {}
    for day in CURRENCY_2026:
        yield CURRENCY, f"2026-{day}", "CLOSED", HOLIDAY, LIST_2026, {}
    yield CURRENCY, "2025-09-08", "CLOSED", "Id-E-Milad, moved from 5 Sep", "NSE and BSE, 2025", {}
    yield from _special_sessions()
    yield from _commodity()


def _special_sessions():
    normal = {"hours": "OPEN 09:15-15:30"}
    yield EXCHANGES, "2025-02-01", "SPECIAL", "Union Budget", BUDGET_2025, normal
    yield EXCHANGES, "2026-02-01", "SPECIAL", "Union Budget", BUDGET_2026, normal
    lights = "PRE_OPEN 13:30-13:45, OPEN 13:45-14:45, POST_CLOSE 14:55-15:05"
    name = "Laxmi Pujan, Muhurat trading"
    yield EQUITY, "2025-10-21", "SPECIAL", name, f"{LIST_2025}; {MUHURAT_2025}", {"hours": lights}
    evening = {"hours": "OPEN 13:45-14:45"}
    yield FUTURES, "2025-10-21", "SPECIAL", name, f"{LIST_2025}; {MUHURAT_2025}", evening
    yield MCX, "2025-10-21", "SPECIAL", name, MUHURAT_2025, evening
    yield EXCHANGES, "2026-11-08", "SPECIAL", "Muhurat trading", MUHURAT_2026, {}


def _commodity():
    """The morning is closed on the exchanges' holidays, the whole day on a few."""
    source = "MCX holiday list of 2025"
    for day in DAYS_2025:
        closed = day in MCX_CLOSED_2025
        kind, columns = ("CLOSED", {}) if closed else ("MORNING_CLOSED", MORNING)
        yield MCX, f"2025-{day}", kind, HOLIDAY, source, columns
    for day, name in (DAYS_2026 | {"01-15": "Municipal election"}).items():
        closed = day in MCX_CLOSED_2026
        kind, columns = ("CLOSED", {}) if closed else ("MORNING_CLOSED", MORNING)
        yield MCX, f"2026-{day}", kind, name, MCX_2026, columns
    yield MCX, "2025-01-01", "EVENING_CLOSED", "New Year", source, EVENING
    yield MCX, "2026-01-01", "EVENING_CLOSED", "New Year", MCX_2026, EVENING
    short = {"hours": "OPEN 09:00-17:00"}
    yield MCX, "2025-02-01", "SPECIAL", "Union Budget", BUDGET_2025, short
    yield MCX, "2026-02-01", "SPECIAL", "Union Budget", BUDGET_2026, short


def time(text):
    return None if text is None else dt.time.fromisoformat(text)


def rules(SessionRule):
    for segments, applies_to, phase, opens, closes, since, until, types, random, note, source in RULES:
        for segment in segments:
            yield SessionRule(
                segment=segment,
                applies_to=applies_to,
                left_out=NOT_AUCTIONED.get(segment, "") if applies_to == STOCKS else "",
                phase=phase,
                opens=time(opens),
                closes=time(closes),
                valid_from=since,
                valid_to=until,
                order_types=types,
                ioc=phase == "OPEN",
                may_close_from=time(random),
                note=note,
                source=source,
            )
    for daylight, closes in EVENINGS:
        yield SessionRule(
            segment="MCX_COMM",
            phase="OPEN",
            opens=dt.time(9),
            closes=time(closes),
            valid_from=START,
            order_types=ANY,
            ioc=True,
            daylight=daylight,
            note="internationally linked, not agricultural",
            source=COMMODITY,
        )


def holidays(Holiday):
    for segments, date, kind, name, source, columns in facts_of_holidays():
        for segment in segments:
            yield Holiday(
                segment=segment, date=date, kind=kind, name=name, source=source, **columns
            )


def seed(apps, schema_editor):
    """Write the facts. The lists of 2025 and 2026 wait for a person's confirmation."""
    model = lambda name: apps.get_model("brokers", name)
    if model("SessionRule").objects.exists():
        return  # migrated back and forth: people keep the rows now
    model("SessionRule").objects.bulk_create(rules(model("SessionRule")))
    model("Holiday").objects.bulk_create(holidays(model("Holiday")))
    lists = [(EXCHANGES, 2025, LIST_2025), (MCX, 2025, "MCX holiday list of 2025")]
    lists += [(EXCHANGES + CURRENCY, 2026, LIST_2026), (MCX, 2026, MCX_2026)]
    model("CalendarYear").objects.bulk_create(
        model("CalendarYear")(segment=segment, year=year, source=source)
        for segments, year, source in lists
        for segment in segments
    )


def keep_paper_accounts_open(apps, schema_editor):
    """Accounts of a simulated exchange have traded at any hour until now, and go on doing so."""
    accounts = apps.get_model("brokers", "BrokerAccount").objects
    paper = r"^https?://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?(/|$)"
    accounts.filter(rest_url__iregex=paper).update(calendar="always_open")


class Migration(migrations.Migration):
    dependencies = [("brokers", "0006_calendar_fences")]
    operations = [
        migrations.RunPython(seed, migrations.RunPython.noop),
        migrations.RunPython(keep_paper_accounts_open, migrations.RunPython.noop),
    ]
