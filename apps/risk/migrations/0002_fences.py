"""A permit must come from a yes, be spent by its own order, and once; decisions are history."""

from django.db import migrations

HISTORY = ("risk_decision", "risk_statechange", "risk_permit", "risk_riskpolicy")

APPEND_ONLY = "".join(
    f"CREATE TRIGGER {table}_is_history BEFORE UPDATE OR DELETE ON {table}"
    " FOR EACH ROW EXECUTE FUNCTION history_is_append_only();"
    for table in HISTORY
)
PERMIT_FROM_A_YES = """
CREATE FUNCTION permit_needs_a_yes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM risk_decision
        WHERE id = NEW.decision_id AND allowed AND correlation_id = NEW.correlation_id
    ) THEN
        RAISE EXCEPTION 'no decision allows order %', NEW.correlation_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER permit_needs_a_yes BEFORE INSERT ON risk_permit
    FOR EACH ROW EXECUTE FUNCTION permit_needs_a_yes();
"""
PERMIT_OF_THE_ORDER = """
ALTER TABLE brokers_wirecall ADD CONSTRAINT wirecall_spends_a_permit_of_its_order
    FOREIGN KEY (permit, correlation_id) REFERENCES risk_permit (id, correlation_id);
"""
DESK_SWITCH = """
INSERT INTO risk_tradingstate (scope, account_id, switch, reason, changed_at)
VALUES ('desk', NULL, 'ACTIVE', 'first start', now()) ON CONFLICT DO NOTHING;
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0001_initial"), ("brokers", "0002_fences")]
    operations = [
        migrations.RunSQL(
            APPEND_ONLY,
            "".join(f"DROP TRIGGER {table}_is_history ON {table};" for table in HISTORY),
        ),
        migrations.RunSQL(
            PERMIT_FROM_A_YES,
            "DROP TRIGGER permit_needs_a_yes ON risk_permit; DROP FUNCTION permit_needs_a_yes();",
        ),
        migrations.RunSQL(
            PERMIT_OF_THE_ORDER,
            "ALTER TABLE brokers_wirecall DROP CONSTRAINT wirecall_spends_a_permit_of_its_order;",
        ),
        migrations.RunSQL(DESK_SWITCH, migrations.RunSQL.noop),
    ]
