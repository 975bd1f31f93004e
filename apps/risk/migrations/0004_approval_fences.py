"""An approval ends once, by somebody else; without one the database keeps a switch closed."""

from django.db import migrations

ONE_WAY = """
CREATE FUNCTION approval_goes_one_way() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'approval % is history', OLD.id;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.decision <> '' OR NEW.executed_at IS NOT NULL THEN
            RAISE EXCEPTION 'an approval begins undecided';
        END IF;
        RETURN NEW;
    END IF;
    IF (OLD.id, OLD.kind, OLD.subject, OLD.payload, OLD.requested_by_id, OLD.reason,
        OLD.requested_at, OLD.expires_at)
       IS DISTINCT FROM
       (NEW.id, NEW.kind, NEW.subject, NEW.payload, NEW.requested_by_id, NEW.reason,
        NEW.requested_at, NEW.expires_at) THEN
        RAISE EXCEPTION 'what approval % asks for cannot change', OLD.id;
    END IF;
    IF OLD.decision <> '' AND
       (OLD.decision, OLD.decided_by_id, OLD.decided_at, OLD.decision_reason)
       IS DISTINCT FROM
       (NEW.decision, NEW.decided_by_id, NEW.decided_at, NEW.decision_reason) THEN
        RAISE EXCEPTION 'approval % is decided', OLD.id;
    END IF;
    IF OLD.executed_at IS NOT NULL AND
       (OLD.executed_at, OLD.result) IS DISTINCT FROM (NEW.executed_at, NEW.result) THEN
        RAISE EXCEPTION 'approval % is carried out', OLD.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approval_goes_one_way BEFORE INSERT OR UPDATE OR DELETE ON risk_approval
    FOR EACH ROW EXECUTE FUNCTION approval_goes_one_way();
"""
RELAXING = """
CREATE FUNCTION relaxing_takes_two() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF array_position(ARRAY['ACTIVE', 'REDUCING', 'HALTED'], NEW.switch::text)
       >= array_position(ARRAY['ACTIVE', 'REDUCING', 'HALTED'], OLD.switch::text) THEN
        RETURN NEW;
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM risk_statechange c JOIN risk_approval a ON a.id = c.approval_id
        WHERE c.scope = NEW.scope AND c.after = NEW.switch AND c.at >= OLD.changed_at
          AND a.kind = 'RESUME' AND a.subject = NEW.scope AND a.decision = 'APPROVED'
    ) THEN
        RAISE EXCEPTION 'nobody else has approved that % becomes %', NEW.scope, NEW.switch;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER relaxing_takes_two BEFORE UPDATE OF switch ON risk_tradingstate
    FOR EACH ROW EXECUTE FUNCTION relaxing_takes_two();
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0003_approvals")]
    operations = [
        migrations.RunSQL(
            ONE_WAY,
            "DROP TRIGGER approval_goes_one_way ON risk_approval;"
            " DROP FUNCTION approval_goes_one_way();",
        ),
        migrations.RunSQL(
            RELAXING,
            "DROP TRIGGER relaxing_takes_two ON risk_tradingstate;"
            " DROP FUNCTION relaxing_takes_two();",
        ),
    ]
