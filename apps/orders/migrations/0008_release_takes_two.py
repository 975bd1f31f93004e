"""Nobody ends a doubt alone: a release is written only while two people's approval is carried out."""

from django.db import migrations

TAKES_TWO = """
CREATE FUNCTION release_takes_two() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.before <> 'UNKNOWN' OR NOT EXISTS (
        SELECT 1 FROM orders_order o JOIN risk_approval a ON a.subject = o.correlation_id
        WHERE o.id = NEW.order_id AND a.kind = 'RELEASE' AND a.decision = 'APPROVED'
          AND a.executed_at IS NULL
    ) THEN
        RAISE EXCEPTION 'nobody else has approved the release of order %', NEW.order_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER release_takes_two BEFORE INSERT ON orders_orderevent
    FOR EACH ROW WHEN (NEW.event = 'RELEASE') EXECUTE FUNCTION release_takes_two();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0007_quotes_protected_orders"),
        ("risk", "0004_approval_fences"),
    ]
    operations = [
        migrations.RunSQL(
            TAKES_TWO,
            "DROP TRIGGER release_takes_two ON orders_orderevent;"
            " DROP FUNCTION release_takes_two();",
        ),
    ]
