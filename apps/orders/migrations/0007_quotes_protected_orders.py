"""What was asked for, apart from what is sent: a MARKET order goes as a protected limit.

The broker has made limits of the MARKET orders that it works now; those that are over keep the
type under which they were sent.
"""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0006_calendar_after_market'),
    ]

    operations = [
        migrations.AddField(
            model_name='order',
            name='asked_type',
            field=models.CharField(blank=True, choices=[('LIMIT', 'Limit'), ('MARKET', 'Market'), ('STOP_LIMIT', 'Stop limit'), ('STOP_MARKET', 'Stop market')], default='', help_text='What was asked for, where another type is sent.', max_length=11),
        ),
        migrations.AlterField(
            model_name='order',
            name='order_type',
            field=models.CharField(choices=[('LIMIT', 'Limit'), ('MARKET', 'Market'), ('STOP_LIMIT', 'Stop limit')], help_text='What is sent.', max_length=10),
        ),
        migrations.RunSQL(
            "UPDATE orders_order SET asked_type = 'MARKET', order_type = 'LIMIT'"
            " WHERE order_type = 'MARKET' AND status NOT IN ('FILLED', 'CANCELLED', 'EXPIRED',"
            " 'DENIED', 'REJECTED', 'LAPSED', 'NEVER_ARRIVED');",
            migrations.RunSQL.noop,
        ),
    ]
