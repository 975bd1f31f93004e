"""The first steps of the escalation; and what is open already is not said all at once."""

from django.db import migrations

STEPS = """
INSERT INTO alerts_escalationstep (number, minutes) VALUES (1, 5), (2, 10), (3, 15);
"""
KNOWN_ALREADY = """
INSERT INTO alerts_message
    (purpose, slot, alert_id, step, severity, text, created_at, expires_at)
SELECT 'ALERT', 'alert:' || id || ':1', id, 0, severity, text, now(), now()
FROM alerts_alert WHERE acknowledged_at IS NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("alerts", "0002_delivery")]
    operations = [
        migrations.RunSQL(STEPS, "DELETE FROM alerts_escalationstep;"),
        migrations.RunSQL(KNOWN_ALREADY, migrations.RunSQL.noop),
    ]
