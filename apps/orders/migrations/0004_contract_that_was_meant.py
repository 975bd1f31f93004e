"""No order leaves under a security id that names another contract than the one it was placed in."""

from django.db import migrations

MEANT = """
CREATE FUNCTION placing_needs_the_contract_that_was_meant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM orders_order o JOIN brokers_instrument i ON i.id = o.instrument_id
        WHERE o.correlation_id = NEW.correlation_id AND i.retired_at IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'the security id of order % names another contract by now',
            NEW.correlation_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER placing_needs_the_contract_that_was_meant BEFORE INSERT ON brokers_wirecall
    FOR EACH ROW WHEN (NEW.verb = 'PLACE')
    EXECUTE FUNCTION placing_needs_the_contract_that_was_meant();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0003_signals_and_test_mode"),
        ("brokers", "0003_instrument_master"),
    ]
    operations = [
        migrations.RunSQL(
            MEANT,
            "DROP TRIGGER placing_needs_the_contract_that_was_meant ON brokers_wirecall;"
            "DROP FUNCTION placing_needs_the_contract_that_was_meant();",
        ),
    ]
