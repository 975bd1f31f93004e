"""What the database itself holds of the calendar: no two rules at once, a stamp, and a history."""

from django.db import migrations

# Rules about the same thing may not give two phases at one moment. Ranges alone, so that no
# extension is needed: what must be equal becomes a range of one number.
NO_OVERLAP = """
CREATE FUNCTION calendar_equal(text) RETURNS int8range LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT int8range(n, n, '[]')
    FROM (SELECT ('x' || substr(md5($1), 1, 15))::bit(60)::bigint AS n) AS one
$$;
CREATE FUNCTION calendar_weekdays(text) RETURNS int4multirange LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT coalesce(range_agg(int4range(day::int, day::int, '[]')), '{}'::int4multirange)
    FROM regexp_split_to_table($1, '') AS day WHERE day <> ''
$$;
CREATE FUNCTION calendar_seconds(time, time) RETURNS int4range LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT int4range(extract(epoch FROM $1)::int,
                     CASE WHEN $2 = time '00:00' THEN 86400 ELSE extract(epoch FROM $2)::int END)
$$;
CREATE FUNCTION calendar_daylight(text) RETURNS int4range LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CASE $1 WHEN 'SUMMER' THEN int4range(0, 1)
                   WHEN 'WINTER' THEN int4range(1, 2) ELSE int4range(0, 2) END
$$;
ALTER TABLE brokers_sessionrule ADD CONSTRAINT session_rules_do_not_overlap EXCLUDE USING gist (
    calendar_equal(segment || '|' || applies_to || '|' || names || '|' || left_out || '|'
                   || (phase = 'AFTER_MARKET')::text) WITH &&,
    calendar_weekdays(weekdays) WITH &&,
    calendar_daylight(daylight) WITH &&,
    daterange(valid_from, valid_to, '[]') WITH &&,
    calendar_seconds(opens, closes) WITH &&
);
"""
NO_OVERLAP_BACK = """
ALTER TABLE brokers_sessionrule DROP CONSTRAINT session_rules_do_not_overlap;
DROP FUNCTION calendar_equal(text);
DROP FUNCTION calendar_weekdays(text);
DROP FUNCTION calendar_seconds(time, time);
DROP FUNCTION calendar_daylight(text);
"""

# Every process keeps the calendar in memory under this number. It never comes twice, not even
# after a rollback, so that no process can mistake what was undone for what is there.
TABLES = ("brokers_sessionrule", "brokers_holiday", "brokers_calendaryear")
STAMP = """
CREATE SEQUENCE brokers_calendar_change;
CREATE FUNCTION calendar_has_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO brokers_calendarstamp (id, value)
    VALUES (1, nextval('brokers_calendar_change'))
    ON CONFLICT (id) DO UPDATE SET value = nextval('brokers_calendar_change');
    RETURN NULL;
END $$;
""" + "".join(
    f"CREATE TRIGGER {table}_has_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}"
    " FOR EACH STATEMENT EXECUTE FUNCTION calendar_has_changed();"
    for table in TABLES
)
STAMP_BACK = (
    "".join(f"DROP TRIGGER {table}_has_changed ON {table};" for table in TABLES)
    + "DROP FUNCTION calendar_has_changed(); DROP SEQUENCE brokers_calendar_change;"
)

HISTORY = (
    "CREATE TRIGGER brokers_calendarchange_is_history"
    " BEFORE UPDATE OR DELETE ON brokers_calendarchange"
    " FOR EACH ROW EXECUTE FUNCTION history_is_append_only();"
)
HISTORY_BACK = "DROP TRIGGER brokers_calendarchange_is_history ON brokers_calendarchange;"


class Migration(migrations.Migration):
    dependencies = [("brokers", "0005_calendar")]
    operations = [
        migrations.RunSQL(NO_OVERLAP, NO_OVERLAP_BACK),
        migrations.RunSQL(STAMP, STAMP_BACK),
        migrations.RunSQL(HISTORY, HISTORY_BACK),
    ]
