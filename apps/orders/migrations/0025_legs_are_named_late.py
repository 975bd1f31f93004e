"""An order keeps the broker's id. A leg known by its entry's id alone may still get one of its own."""

from django.db import migrations

NAMED = """
CREATE OR REPLACE FUNCTION order_is_named_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.broker_order_id NOT IN ('', {exempt}) AND NEW.broker_order_id <> OLD.broker_order_id
       OR OLD.correlation_id <> NEW.correlation_id OR OLD.account_id <> NEW.account_id THEN
        RAISE EXCEPTION 'order % keeps its names', OLD.correlation_id;
    END IF;
    RETURN NEW;
END $$;
"""
ADDRESS = "CASE WHEN OLD.leg_of <> '' THEN OLD.leg_of || '/' || OLD.leg ELSE '' END"


class Migration(migrations.Migration):
    dependencies = [("orders", "0024_bracket_pages")]
    operations = [migrations.RunSQL(NAMED.format(exempt=ADDRESS), NAMED.format(exempt="''"))]
