"""Orders that exclude each other; and what each owner's orders have filled, counted from history."""

from django.db import migrations, models

OWNERS = """
UPDATE risk_hold SET owner = CASE WHEN o.strategy <> '' THEN 'strategy:' || o.strategy
                                  ELSE 'manual' END
FROM orders_order o WHERE o.correlation_id = risk_hold.correlation_id;
INSERT INTO risk_ownedposition (account_id, segment, security_id, product, owner, net)
SELECT account_id, segment, security_id, product, owner,
       sum(CASE side WHEN 'BUY' THEN filled ELSE -filled END)
FROM risk_hold GROUP BY account_id, segment, security_id, product, owner
ON CONFLICT (account_id, segment, security_id, product, owner) DO UPDATE SET net = excluded.net;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0009_sources_outside"),
        ("risk", "0006_own_count_of_positions"),
    ]
    operations = [
        migrations.AddField(
            model_name="order",
            name="group",
            field=models.CharField(
                blank=True,
                default="",
                help_text="At most one order of a group may fill.",
                max_length=40,
            ),
        ),
        migrations.RunSQL(OWNERS, migrations.RunSQL.noop),
    ]
