"""What the broker's margin calculator answered; and the moment at which funds were read."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("brokers", "0008_quotes")]
    operations = [
        migrations.AddField(
            model_name="fundsreport",
            name="mark",
            field=models.BigIntegerField(default=0, help_text="The moment before the read began."),
        ),
        migrations.CreateModel(
            name="MarginEstimate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "terms",
                    models.CharField(
                        help_text="A digest of the terms that were asked.", max_length=40
                    ),
                ),
                ("asked", models.JSONField(help_text="The terms in words.")),
                ("required", models.DecimalField(decimal_places=2, max_digits=18)),
                ("available", models.DecimalField(decimal_places=2, max_digits=18, null=True)),
                ("raw", models.JSONField(default=dict, help_text="The calculator's answer.")),
                ("as_of", models.DateTimeField(help_text="When the read began.")),
                ("mark", models.BigIntegerField(help_text="The moment before the read began.")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="margins",
                        to="brokers.brokeraccount",
                    ),
                ),
            ],
            options={
                "ordering": ["-as_of"],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["as_of"], name="estimate_age")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("account", "terms"), name="one_estimate_per_terms"
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="wirecall",
            index=models.Index(
                fields=["account", "-id"],
                condition=models.Q(what="margin"),
                name="wirecall_of_margin",
            ),
        ),
    ]
