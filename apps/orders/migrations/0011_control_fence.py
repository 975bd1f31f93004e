"""A call about the account as a whole, such as the broker's own kill switch, is about no order."""

from importlib import import_module

from django.db import migrations

FUNCTION = import_module("apps.orders.migrations.0005_tokens_fence").FUNCTION


class Migration(migrations.Migration):
    dependencies = [("orders", "0010_groups_and_owners"), ("brokers", "0010_control_calls")]
    operations = [
        migrations.RunSQL(
            FUNCTION % "'READ', 'TOKEN', 'CONTROL'", FUNCTION % "'READ', 'TOKEN'"
        ),
    ]
