"""What was heard never changes; an answer is given once; no command is ever deleted."""

from django.db import migrations

HEARD_ONCE = """
CREATE FUNCTION command_is_completed_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'commands are history: command % cannot be deleted', OLD.id;
    END IF;
    IF (OLD.id, OLD.bot_id, OLD.update_id, OLD.telegram_id, OLD.chat_id, OLD.said_name,
        OLD.user_id, OLD.text, OLD.sent_at, OLD.heard_at)
       IS DISTINCT FROM
       (NEW.id, NEW.bot_id, NEW.update_id, NEW.telegram_id, NEW.chat_id, NEW.said_name,
        NEW.user_id, NEW.text, NEW.sent_at, NEW.heard_at) THEN
        RAISE EXCEPTION 'what was heard in command % is history and cannot change', OLD.id;
    END IF;
    IF OLD.outcome <> '' AND (OLD.outcome, OLD.answer, OLD.answered_at)
       IS DISTINCT FROM (NEW.outcome, NEW.answer, NEW.answered_at) THEN
        RAISE EXCEPTION 'command % is answered already', OLD.id;
    END IF;
    IF OLD.told_at IS NOT NULL OR OLD.not_told <> '' THEN
        RAISE EXCEPTION 'command % is over', OLD.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER command_is_completed_once BEFORE UPDATE OR DELETE ON chat_telegramcommand
    FOR EACH ROW EXECUTE FUNCTION command_is_completed_once();
"""


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_delivery")]
    operations = [
        migrations.RunSQL(
            HEARD_ONCE,
            "DROP TRIGGER command_is_completed_once ON chat_telegramcommand;"
            "DROP FUNCTION command_is_completed_once();",
        ),
    ]
