"""What the kill switch did is history."""

from django.db import migrations

NOTES = """
CREATE TRIGGER risk_killnote_is_history BEFORE UPDATE OR DELETE ON risk_killnote
    FOR EACH ROW EXECUTE FUNCTION history_is_append_only();
CREATE TRIGGER risk_killrun_is_history BEFORE UPDATE OR DELETE ON risk_killrun
    FOR EACH ROW EXECUTE FUNCTION history_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0009_kill_switch")]
    operations = [
        migrations.RunSQL(
            NOTES,
            "DROP TRIGGER risk_killnote_is_history ON risk_killnote;"
            " DROP TRIGGER risk_killrun_is_history ON risk_killrun;",
        )
    ]
