"""What happened to a goal is history."""

from django.db import migrations

NOTES = """
CREATE TRIGGER risk_goalnote_is_history BEFORE UPDATE OR DELETE ON risk_goalnote
    FOR EACH ROW EXECUTE FUNCTION history_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0007_exit_goals")]
    operations = [
        migrations.RunSQL(NOTES, "DROP TRIGGER risk_goalnote_is_history ON risk_goalnote;")
    ]
