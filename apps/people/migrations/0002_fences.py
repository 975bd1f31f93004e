"""What was changed about people stays written."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("people", "0001_initial"), ("brokers", "0002_fences")]
    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER people_personchange_is_history"
            " BEFORE UPDATE OR DELETE ON people_personchange"
            " FOR EACH ROW EXECUTE FUNCTION history_is_append_only();",
            "DROP TRIGGER people_personchange_is_history ON people_personchange;",
        ),
    ]
