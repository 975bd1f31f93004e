"""What the database itself refuses: rewriting the journal, moving an account that has spoken."""

from django.db import migrations

JOURNAL = """
CREATE FUNCTION wirecall_is_completed_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.verb = 'READ' AND OLD.created_at < now() - interval '30 days' THEN
        RETURN OLD;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'the journal is never deleted (row %)', OLD.id;
    END IF;
    IF OLD.outcome <> '' THEN
        RAISE EXCEPTION 'journal row % is complete and cannot change', OLD.id;
    END IF;
    IF (OLD.account_id, OLD.verb, OLD.what, OLD.budget, OLD.correlation_id, OLD.permit,
        OLD.endpoint, OLD.request, OLD.created_at, OLD.send_by, OLD.boot_id, OLD.boot_at)
       IS DISTINCT FROM
       (NEW.account_id, NEW.verb, NEW.what, NEW.budget, NEW.correlation_id, NEW.permit,
        NEW.endpoint, NEW.request, NEW.created_at, NEW.send_by, NEW.boot_id, NEW.boot_at) THEN
        RAISE EXCEPTION 'what was said in journal row % cannot change', OLD.id;
    END IF;
    IF OLD.sent_at IS NOT NULL AND NEW.sent_at IS DISTINCT FROM OLD.sent_at THEN
        RAISE EXCEPTION 'journal row % has left already', OLD.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER wirecall_is_completed_once BEFORE UPDATE OR DELETE ON brokers_wirecall
    FOR EACH ROW EXECUTE FUNCTION wirecall_is_completed_once();
"""

IDENTITY = """
CREATE FUNCTION account_identity_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.name <> NEW.name THEN -- the name is also the name of its switch
        RAISE EXCEPTION 'account % keeps its name', OLD.name;
    END IF;
    IF (OLD.broker, OLD.client_id, OLD.rest_url, OLD.feed_url)
       IS DISTINCT FROM (NEW.broker, NEW.client_id, NEW.rest_url, NEW.feed_url)
       AND EXISTS (SELECT 1 FROM brokers_wirecall WHERE account_id = OLD.id) THEN
        RAISE EXCEPTION 'account % has talked to its broker: its identity is fixed', OLD.name;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER account_identity_is_fixed BEFORE UPDATE ON brokers_brokeraccount
    FOR EACH ROW EXECUTE FUNCTION account_identity_is_fixed();
"""

APPEND_ONLY = """
CREATE FUNCTION history_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is history: its rows are never changed or deleted', TG_TABLE_NAME;
END $$;
"""


MOMENTS = "CREATE SEQUENCE brokers_moment;"


class Migration(migrations.Migration):
    dependencies = [("brokers", "0001_initial")]
    operations = [
        migrations.RunSQL(MOMENTS, "DROP SEQUENCE brokers_moment;"),
        migrations.RunSQL(
            JOURNAL,
            "DROP TRIGGER wirecall_is_completed_once ON brokers_wirecall;"
            "DROP FUNCTION wirecall_is_completed_once();",
        ),
        migrations.RunSQL(
            IDENTITY,
            "DROP TRIGGER account_identity_is_fixed ON brokers_brokeraccount;"
            "DROP FUNCTION account_identity_is_fixed();",
        ),
        migrations.RunSQL(APPEND_ONLY, "DROP FUNCTION history_is_append_only();"),
    ]
