"""What was heard never changes; a settled fate stays settled; no signal is ever deleted."""

from django.db import migrations

HEARD_ONCE = """
CREATE FUNCTION signal_is_heard_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'signals are history: signal % cannot be deleted', OLD.id;
    END IF;
    IF (OLD.id, OLD.source_id, OLD.sender_id, OLD.dedupe_key, OLD.received_at, OLD.sent_at,
        OLD.body, OLD.body_hash, OLD.headers, OLD.account_id, OLD.intent, OLD.test, OLD.wish)
       IS DISTINCT FROM
       (NEW.id, NEW.source_id, NEW.sender_id, NEW.dedupe_key, NEW.received_at, NEW.sent_at,
        NEW.body, NEW.body_hash, NEW.headers, NEW.account_id, NEW.intent, NEW.test, NEW.wish) THEN
        RAISE EXCEPTION 'what was heard in signal % is history and cannot change', OLD.id;
    END IF;
    IF OLD.fate <> 'RECEIVED' THEN
        RAISE EXCEPTION 'the fate of signal % is settled history', OLD.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER signal_is_heard_once BEFORE UPDATE OR DELETE ON signals_signal
    FOR EACH ROW EXECUTE FUNCTION signal_is_heard_once();
"""


class Migration(migrations.Migration):
    dependencies = [("signals", "0001_initial")]
    operations = [
        migrations.RunSQL(
            HEARD_ONCE,
            "DROP TRIGGER signal_is_heard_once ON signals_signal;"
            "DROP FUNCTION signal_is_heard_once();",
        ),
    ]
