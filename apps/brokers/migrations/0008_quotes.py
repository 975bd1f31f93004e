"""Prices of the real and of the simulated market apart, with depth; and who wants them.

The few prices kept so far do not say whose they are: they are forgotten, and soon heard anew.
"""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


def _price() -> models.DecimalField:
    return models.DecimalField(decimal_places=4, max_digits=14, null=True)


MARKETS = [("REAL", "Real"), ("SIMULATED", "Simulated")]


class Migration(migrations.Migration):
    dependencies = [("brokers", "0007_calendar_facts")]
    operations = [
        migrations.RunSQL("DELETE FROM brokers_quote;", migrations.RunSQL.noop),
        migrations.AddField(
            model_name="brokeraccount",
            name="market_feed_url",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Socket of prices, for example wss://api-feed.dhan.co; one account is "
                "enough for the desk. Empty: prices do not come from this account.",
                max_length=200,
                validators=[
                    django.core.validators.RegexValidator(
                        "^wss?://", "must start with ws:// or wss://"
                    )
                ],
            ),
            preserve_default=False,
        ),
        migrations.AlterModelOptions(
            name="quote",
            options={"default_permissions": ("view",), "ordering": ["instrument", "market"]},
        ),
        migrations.AddField(
            model_name="quote",
            name="market",
            field=models.CharField(choices=MARKETS, default="", max_length=10),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name="quote",
            name="instrument",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="quotes",
                to="brokers.instrument",
            ),
        ),
        migrations.AlterField(
            model_name="quote",
            name="as_of",
            field=models.DateTimeField(help_text="When we heard the price."),
        ),
        migrations.AddField(
            model_name="quote",
            name="traded_at",
            field=models.DateTimeField(
                help_text="The exchange's time of the last trade.", null=True
            ),
        ),
        migrations.AddField(
            model_name="quote",
            name="close",
            field=models.DecimalField(
                decimal_places=4, help_text="The previous day's.", max_digits=14, null=True
            ),
        ),
        migrations.AddField("quote", "open_interest", models.BigIntegerField(null=True)),
        migrations.AddField(
            "quote",
            "bids",
            models.JSONField(help_text="Best first: price, units, orders.", null=True),
        ),
        migrations.AddField(
            "quote",
            "asks",
            models.JSONField(help_text="Best first: price, units, orders.", null=True),
        ),
        migrations.AddField("quote", "depth_as_of", models.DateTimeField(null=True)),
        migrations.AddField("quote", "lower_circuit", _price()),
        migrations.AddField("quote", "upper_circuit", _price()),
        migrations.AddField("quote", "circuit_as_of", models.DateTimeField(null=True)),
        migrations.AddConstraint(
            model_name="quote",
            constraint=models.UniqueConstraint(
                fields=("instrument", "market"), name="one_quote_per_market"
            ),
        ),
        migrations.CreateModel(
            name="QuoteWish",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("market", models.CharField(choices=MARKETS, max_length=10)),
                ("until", models.DateTimeField(db_index=True)),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="brokers.instrument",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("instrument", "market"), name="one_wish_per_market"
                    )
                ],
            },
        ),
    ]
