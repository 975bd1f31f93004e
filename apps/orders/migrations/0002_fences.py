"""Events and fills are history; what is sent is about an order that exists."""

from django.db import migrations

HISTORY = ("orders_orderevent", "orders_fill")

APPEND_ONLY = "".join(
    f"CREATE TRIGGER {table}_is_history BEFORE UPDATE OR DELETE ON {table}"
    " FOR EACH ROW EXECUTE FUNCTION history_is_append_only();"
    for table in HISTORY
)
ORDERS_STAY = """
CREATE TRIGGER orders_order_stays BEFORE DELETE ON orders_order
    FOR EACH ROW EXECUTE FUNCTION history_is_append_only();
"""
ABOUT_AN_ORDER = """
ALTER TABLE brokers_wirecall ADD CONSTRAINT wirecall_is_about_an_order
    FOREIGN KEY (correlation_id) REFERENCES orders_order (correlation_id);
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial"), ("risk", "0002_fences")]
    operations = [
        migrations.RunSQL(
            APPEND_ONLY,
            "".join(f"DROP TRIGGER {table}_is_history ON {table};" for table in HISTORY),
        ),
        migrations.RunSQL(ORDERS_STAY, "DROP TRIGGER orders_order_stays ON orders_order;"),
        migrations.RunSQL(
            ABOUT_AN_ORDER,
            "ALTER TABLE brokers_wirecall DROP CONSTRAINT wirecall_is_about_an_order;",
        ),
    ]
