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


# What may be written down at all: nothing that is over already, and only what was allowed.
WRITTEN_DOWN = """
CREATE FUNCTION wirecall_is_written_before_it_leaves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.outcome <> '' OR NEW.sent_at IS NOT NULL THEN
        RAISE EXCEPTION 'a call is written down before it leaves';
    END IF;
    IF NEW.verb <> 'READ' AND NOT EXISTS (
        SELECT 1 FROM orders_order
        WHERE correlation_id = NEW.correlation_id AND account_id = NEW.account_id
    ) THEN
        RAISE EXCEPTION 'order % is not of this account', NEW.correlation_id;
    END IF;
    IF NEW.verb IN ('PLACE', 'MODIFY') AND NOT EXISTS (
        SELECT 1 FROM risk_permit permit JOIN risk_decision decision
            ON decision.id = permit.decision_id
        WHERE permit.id = NEW.permit AND decision.action = NEW.verb AND decision.allowed
            AND decision.account_id = NEW.account_id AND decision.expires_at > now()
    ) AND NEW.permit IS NOT NULL AND EXISTS (SELECT 1 FROM risk_permit WHERE id = NEW.permit) THEN
        RAISE EXCEPTION 'permit % does not allow this', NEW.permit;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER wirecall_is_written_before_it_leaves BEFORE INSERT ON brokers_wirecall
    FOR EACH ROW EXECUTE FUNCTION wirecall_is_written_before_it_leaves();
"""
NAMED_ONCE = """
CREATE FUNCTION order_is_named_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.broker_order_id <> '' AND NEW.broker_order_id <> OLD.broker_order_id
       OR OLD.correlation_id <> NEW.correlation_id OR OLD.account_id <> NEW.account_id THEN
        RAISE EXCEPTION 'order % keeps its names', OLD.correlation_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER order_is_named_once BEFORE UPDATE ON orders_order
    FOR EACH ROW EXECUTE FUNCTION order_is_named_once();
"""
HOLDS_STAY = """
CREATE TRIGGER risk_hold_stays BEFORE DELETE ON risk_hold
    FOR EACH ROW EXECUTE FUNCTION history_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial"), ("risk", "0002_fences")]
    operations = [
        migrations.RunSQL(
            APPEND_ONLY,
            "".join(f"DROP TRIGGER {table}_is_history ON {table};" for table in HISTORY),
        ),
        migrations.RunSQL(ORDERS_STAY, "DROP TRIGGER orders_order_stays ON orders_order;"),
        migrations.RunSQL(HOLDS_STAY, "DROP TRIGGER risk_hold_stays ON risk_hold;"),
        migrations.RunSQL(
            WRITTEN_DOWN,
            "DROP TRIGGER wirecall_is_written_before_it_leaves ON brokers_wirecall;"
            "DROP FUNCTION wirecall_is_written_before_it_leaves();",
        ),
        migrations.RunSQL(
            NAMED_ONCE,
            "DROP TRIGGER order_is_named_once ON orders_order;"
            "DROP FUNCTION order_is_named_once();",
        ),
        migrations.RunSQL(
            ABOUT_AN_ORDER,
            "ALTER TABLE brokers_wirecall DROP CONSTRAINT wirecall_is_about_an_order;",
        ),
    ]
