"""Orders from outside are never sent; entries and notes are history; breaks stay."""

from django.db import migrations

# What was made outside the desk can be cancelled from here, and nothing else.
NEVER_SENT = """
CREATE FUNCTION outside_orders_are_only_cancelled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM orders_order
        WHERE correlation_id = NEW.correlation_id AND source = 'EXTERNAL'
    ) THEN
        RAISE EXCEPTION 'order % was made outside the desk: it is never placed or changed here',
            NEW.correlation_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER outside_orders_are_only_cancelled BEFORE INSERT ON brokers_wirecall
    FOR EACH ROW WHEN (NEW.verb IN ('PLACE', 'MODIFY'))
    EXECUTE FUNCTION outside_orders_are_only_cancelled();
"""
KEEPS_ITS_SOURCE = """
CREATE FUNCTION order_keeps_its_source() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.source <> OLD.source THEN
        RAISE EXCEPTION 'order % keeps its source', OLD.correlation_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER order_keeps_its_source BEFORE UPDATE OF source ON orders_order
    FOR EACH ROW EXECUTE FUNCTION order_keeps_its_source();
"""
HISTORY = ("orders_openingentry", "orders_breaknote")
APPEND_ONLY = "".join(
    f"CREATE TRIGGER {table}_is_history BEFORE UPDATE OR DELETE ON {table}"
    " FOR EACH ROW EXECUTE FUNCTION history_is_append_only();"
    for table in HISTORY
)
BREAKS_STAY = """
CREATE TRIGGER orders_break_stays BEFORE DELETE ON orders_break
    FOR EACH ROW EXECUTE FUNCTION history_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0014_books"), ("risk", "0002_fences")]
    operations = [
        migrations.RunSQL(
            NEVER_SENT,
            "DROP TRIGGER outside_orders_are_only_cancelled ON brokers_wirecall;"
            "DROP FUNCTION outside_orders_are_only_cancelled();",
        ),
        migrations.RunSQL(
            KEEPS_ITS_SOURCE,
            "DROP TRIGGER order_keeps_its_source ON orders_order;"
            "DROP FUNCTION order_keeps_its_source();",
        ),
        migrations.RunSQL(
            APPEND_ONLY,
            "".join(f"DROP TRIGGER {table}_is_history ON {table};" for table in HISTORY),
        ),
        migrations.RunSQL(BREAKS_STAY, "DROP TRIGGER orders_break_stays ON orders_break;"),
    ]
