"""A whole keeps its terms, its history stays, and its slices are parts of it and of nothing else."""

from django.db import migrations

HISTORY = """
CREATE TRIGGER orders_slicingevent_is_history BEFORE UPDATE OR DELETE ON orders_slicingevent
    FOR EACH ROW EXECUTE FUNCTION history_is_append_only();
CREATE TRIGGER orders_slicing_stays BEFORE DELETE ON orders_slicing
    FOR EACH ROW EXECUTE FUNCTION history_is_append_only();
"""
KEEPS_ITS_TERMS = """
CREATE FUNCTION slicing_keeps_its_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.public_id, OLD.request_key, OLD.account_id, OLD.instrument_id, OLD.side, OLD.total,
        OLD.order_type, OLD.price, OLD.trigger_price, OLD.product, OLD.validity, OLD.intent,
        OLD.test, OLD.after_market, OLD.strategy, OLD.source, OLD.actor, OLD.user_id)
       IS DISTINCT FROM
       (NEW.public_id, NEW.request_key, NEW.account_id, NEW.instrument_id, NEW.side, NEW.total,
        NEW.order_type, NEW.price, NEW.trigger_price, NEW.product, NEW.validity, NEW.intent,
        NEW.test, NEW.after_market, NEW.strategy, NEW.source, NEW.actor, NEW.user_id) THEN
        RAISE EXCEPTION 'the whole % keeps its terms', OLD.public_id;
    END IF;
    IF OLD.status IN ('DONE', 'DROPPED', 'REFUSED') AND NEW.status <> OLD.status THEN
        RAISE EXCEPTION 'the whole % is over', OLD.public_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER slicing_keeps_its_terms BEFORE UPDATE ON orders_slicing
    FOR EACH ROW EXECUTE FUNCTION slicing_keeps_its_terms();
"""
SLICE_OF_ITS_WHOLE = """
CREATE FUNCTION slice_is_part_of_its_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (OLD.parent_id, OLD.slice_number) IS DISTINCT FROM (NEW.parent_id, NEW.slice_number) THEN
            RAISE EXCEPTION 'order % keeps its whole', OLD.correlation_id;
        END IF;
    ELSIF NOT EXISTS (
        SELECT 1 FROM orders_slicing
        WHERE id = NEW.parent_id AND account_id = NEW.account_id
          AND instrument_id = NEW.instrument_id AND side = NEW.side AND product = NEW.product
          AND intent = NEW.intent AND test = NEW.test AND status = 'PLACING'
    ) THEN
        RAISE EXCEPTION 'order % is no slice of this whole', NEW.correlation_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER slice_is_part_of_its_whole BEFORE INSERT ON orders_order
    FOR EACH ROW WHEN (NEW.parent_id IS NOT NULL) EXECUTE FUNCTION slice_is_part_of_its_whole();
CREATE TRIGGER slice_keeps_its_whole BEFORE UPDATE OF parent_id, slice_number ON orders_order
    FOR EACH ROW EXECUTE FUNCTION slice_is_part_of_its_whole();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0012_slicing")]
    operations = [
        migrations.RunSQL(
            HISTORY,
            "DROP TRIGGER orders_slicingevent_is_history ON orders_slicingevent;"
            "DROP TRIGGER orders_slicing_stays ON orders_slicing;",
        ),
        migrations.RunSQL(
            KEEPS_ITS_TERMS,
            "DROP TRIGGER slicing_keeps_its_terms ON orders_slicing;"
            "DROP FUNCTION slicing_keeps_its_terms();",
        ),
        migrations.RunSQL(
            SLICE_OF_ITS_WHOLE,
            "DROP TRIGGER slice_is_part_of_its_whole ON orders_order;"
            "DROP TRIGGER slice_keeps_its_whole ON orders_order;"
            "DROP FUNCTION slice_is_part_of_its_whole();",
        ),
    ]
