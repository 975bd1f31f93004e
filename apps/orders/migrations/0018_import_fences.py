"""What was imported is history: nothing is decided, held, sent, filled or changed of it.

It leaves in one way: its import is marked as rolled back, and in that same transaction, no other,
its rows may be deleted.
"""

from django.db import migrations

ROLLBACK = """
CREATE FUNCTION import_is_rolled_back_now(origin bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM orders_importedrow r
                   JOIN orders_legacyimport f ON f.id = r.brought_by_id
                   WHERE r.id = origin
                     AND f.rollback_xid = pg_current_xact_id()::text::bigint)
$$;
CREATE FUNCTION import_stays_on_record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.rolled_back_at IS NULL AND NEW.rolled_back_at IS NOT NULL
       AND NEW.rolled_back_by <> '' AND NEW.rollback_xid = pg_current_xact_id()::text::bigint
       AND to_jsonb(NEW) - ARRAY['rolled_back_at', 'rolled_back_by', 'rollback_xid']
         = to_jsonb(OLD) - ARRAY['rolled_back_at', 'rolled_back_by', 'rollback_xid'] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'an import stays on record; it can be rolled back, once';
END $$;
CREATE TRIGGER import_stays_on_record BEFORE UPDATE OR DELETE ON orders_legacyimport
    FOR EACH ROW EXECUTE FUNCTION import_stays_on_record();
CREATE TRIGGER orders_leftout_is_history BEFORE UPDATE OR DELETE ON orders_leftout
    FOR EACH ROW EXECUTE FUNCTION history_is_append_only();
CREATE FUNCTION imported_row_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND import_is_rolled_back_now(OLD.id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'what was imported is history: append only';
END $$;
CREATE TRIGGER imported_row_stays BEFORE UPDATE OR DELETE ON orders_importedrow
    FOR EACH ROW EXECUTE FUNCTION imported_row_stays();
"""
ROLLBACK_BACK = """
DROP TRIGGER imported_row_stays ON orders_importedrow;
DROP TRIGGER orders_leftout_is_history ON orders_leftout;
DROP TRIGGER import_stays_on_record ON orders_legacyimport;
DROP FUNCTION imported_row_stays();
DROP FUNCTION import_stays_on_record();
DROP FUNCTION import_is_rolled_back_now(bigint);
"""

# Orders, brackets and legs: those of an import never change; nothing else is ever deleted.
STAYS = """
CREATE FUNCTION stays_unless_its_import_leaves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'what was imported is history: append only';
    ELSIF OLD.origin_id IS NOT NULL AND import_is_rolled_back_now(OLD.origin_id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'history is append only';
END $$;
DROP TRIGGER orders_order_stays ON orders_order;
""" + "".join(
    f"CREATE TRIGGER {table}_stays BEFORE DELETE ON {table}"
    " FOR EACH ROW EXECUTE FUNCTION stays_unless_its_import_leaves();"
    f"CREATE TRIGGER {table}_of_another_system BEFORE UPDATE ON {table}"
    " FOR EACH ROW WHEN (OLD.origin_id IS NOT NULL)"
    " EXECUTE FUNCTION stays_unless_its_import_leaves();"
    for table in ("orders_order", "orders_bracket", "orders_bracketleg")
)
STAYS_BACK = "".join(
    f"DROP TRIGGER {table}_stays ON {table}; DROP TRIGGER {table}_of_another_system ON {table};"
    for table in ("orders_order", "orders_bracket", "orders_bracketleg")
) + """
DROP FUNCTION stays_unless_its_import_leaves();
CREATE TRIGGER orders_order_stays BEFORE DELETE ON orders_order
    FOR EACH ROW EXECUTE FUNCTION history_is_append_only();
"""

EVENTS = """
CREATE FUNCTION event_stays_unless_its_import_leaves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.event = 'IMPORT' AND import_is_rolled_back_now(
        (SELECT origin_id FROM orders_order WHERE id = OLD.order_id)) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'history is append only';
END $$;
DROP TRIGGER orders_orderevent_is_history ON orders_orderevent;
CREATE TRIGGER orders_orderevent_is_history BEFORE UPDATE OR DELETE ON orders_orderevent
    FOR EACH ROW EXECUTE FUNCTION event_stays_unless_its_import_leaves();
"""
EVENTS_BACK = """
DROP TRIGGER orders_orderevent_is_history ON orders_orderevent;
DROP FUNCTION event_stays_unless_its_import_leaves();
CREATE TRIGGER orders_orderevent_is_history BEFORE UPDATE OR DELETE ON orders_orderevent
    FOR EACH ROW EXECUTE FUNCTION history_is_append_only();
"""

# Tables that name an order by its correlation id, and those that point at its row.
BY_NAME = {
    "brokers_wirecall": "NEW.verb IN ('PLACE', 'MODIFY', 'CANCEL')",
    "risk_decision": "TRUE",
    "risk_permit": "TRUE",
    "risk_hold": "TRUE",
}
BY_ROW = ("orders_fill", "orders_modification")
NOTHING_NEW = (
    """
CREATE FUNCTION not_about_an_imported_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM orders_order o WHERE o.correlation_id = NEW.correlation_id
               AND o.origin_id IS NOT NULL) THEN
        RAISE EXCEPTION 'order % was another system''s: it is history', NEW.correlation_id;
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION not_of_an_imported_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM orders_order o WHERE o.id = NEW.order_id
               AND o.origin_id IS NOT NULL) THEN
        RAISE EXCEPTION 'order % was another system''s: it is history', NEW.order_id;
    END IF;
    RETURN NEW;
END $$;
"""
    + "".join(
        f"CREATE TRIGGER {table}_not_imported BEFORE INSERT OR UPDATE OF correlation_id ON {table}"
        f" FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION not_about_an_imported_order();"
        for table, when in BY_NAME.items()
    )
    + "".join(
        f"CREATE TRIGGER {table}_not_imported BEFORE INSERT ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION not_of_an_imported_order();"
        for table in BY_ROW
    )
)
NOTHING_NEW_BACK = (
    "".join(f"DROP TRIGGER {table}_not_imported ON {table};" for table in (*BY_NAME, *BY_ROW))
    + "DROP FUNCTION not_about_an_imported_order(); DROP FUNCTION not_of_an_imported_order();"
)

# A leg's account is its bracket's and its order's: the leg's id is unique on that account.
LEGS = """
CREATE FUNCTION leg_is_of_its_brackets_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM orders_bracket WHERE id = NEW.bracket_id
                   AND account_id = NEW.account_id)
       OR NEW.order_id IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM orders_order WHERE id = NEW.order_id AND account_id = NEW.account_id
       ) THEN
        RAISE EXCEPTION 'a leg, its bracket and its order are of one account';
    END IF;
    IF NEW.origin_id IS NULL AND (
        EXISTS (SELECT 1 FROM orders_bracket WHERE id = NEW.bracket_id AND origin_id IS NOT NULL)
        OR EXISTS (SELECT 1 FROM orders_order WHERE id = NEW.order_id AND origin_id IS NOT NULL)
    ) THEN
        RAISE EXCEPTION 'a leg of ours cannot be part of another system''s history';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER leg_is_of_its_brackets_account BEFORE INSERT OR UPDATE ON orders_bracketleg
    FOR EACH ROW EXECUTE FUNCTION leg_is_of_its_brackets_account();
"""
LEGS_BACK = """
DROP TRIGGER leg_is_of_its_brackets_account ON orders_bracketleg;
DROP FUNCTION leg_is_of_its_brackets_account();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0017_brackets_and_imports"),
        ("risk", "0011_outside_trades"),
        ("brokers", "0011_imported_instruments"),
    ]
    operations = [
        migrations.RunSQL(ROLLBACK, ROLLBACK_BACK),
        migrations.RunSQL(STAYS, STAYS_BACK),
        migrations.RunSQL(EVENTS, EVENTS_BACK),
        migrations.RunSQL(NOTHING_NEW, NOTHING_NEW_BACK),
        migrations.RunSQL(LEGS, LEGS_BACK),
    ]
