"""A call that asks for a token is about no order, like a read; all other calls still are."""

from django.db import migrations

FUNCTION = """
CREATE OR REPLACE FUNCTION wirecall_is_written_before_it_leaves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.outcome <> '' OR NEW.sent_at IS NOT NULL THEN
        RAISE EXCEPTION 'a call is written down before it leaves';
    END IF;
    IF NEW.verb NOT IN (%s) AND NOT EXISTS (
        SELECT 1 FROM orders_order
        WHERE correlation_id = NEW.correlation_id AND account_id = NEW.account_id
    ) THEN
        RAISE EXCEPTION 'order %% is not of this account', NEW.correlation_id;
    END IF;
    IF NEW.verb IN ('PLACE', 'MODIFY') AND NOT EXISTS (
        SELECT 1 FROM risk_permit permit JOIN risk_decision decision
            ON decision.id = permit.decision_id
        WHERE permit.id = NEW.permit AND decision.action = NEW.verb AND decision.allowed
            AND decision.account_id = NEW.account_id AND decision.expires_at > now()
    ) AND NEW.permit IS NOT NULL AND EXISTS (SELECT 1 FROM risk_permit WHERE id = NEW.permit) THEN
        RAISE EXCEPTION 'permit %% does not allow this', NEW.permit;
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0004_contract_that_was_meant"), ("brokers", "0004_tokens")]
    operations = [
        migrations.RunSQL(FUNCTION % "'READ', 'TOKEN'", FUNCTION % "'READ'"),
    ]
