"""What was done to a bracket is history."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("orders", "0020_bracket_guardian"), ("risk", "0002_fences")]
    operations = [
        migrations.RunSQL(
            "CREATE TRIGGER orders_bracketnote_is_history BEFORE UPDATE OR DELETE"
            " ON orders_bracketnote FOR EACH ROW EXECUTE FUNCTION history_is_append_only();",
            "DROP TRIGGER orders_bracketnote_is_history ON orders_bracketnote;",
        ),
    ]
