"""Limits on prices and margin. Policies in force keep what they let through.

They get no band around the last price and no check of margin: write a version that has them. New
accounts begin with both.
"""

import django.core.validators
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('brokers', '0009_margin_estimates'),
        ('risk', '0004_approval_fences'),
    ]

    operations = [
        migrations.AddField(
            model_name='hold',
            name='margin',
            field=models.DecimalField(decimal_places=2, help_text='Rupees that the order ties up.', max_digits=18, null=True),
        ),
        migrations.AddField(
            model_name='hold',
            name='reached_mark',
            field=models.BigIntegerField(help_text='When the exchange first showed it, as a moment.', null=True),
        ),
        migrations.AddField(
            model_name='riskpolicy',
            name='check_margin',
            field=models.BooleanField(default=False, help_text="Ask the broker's margin calculator before an entry."),
        ),
        migrations.AlterField(
            model_name='riskpolicy',
            name='check_margin',
            field=models.BooleanField(default=True, help_text="Ask the broker's margin calculator before an entry."),
        ),
        migrations.AddField(
            model_name='riskpolicy',
            name='max_quote_age',
            field=models.PositiveIntegerField(default=10, help_text='Seconds a last price stays fresh; an older one is not known.'),
        ),
        migrations.AddField(
            model_name='riskpolicy',
            name='price_band_percent',
            field=models.DecimalField(blank=True, decimal_places=2, help_text="How far a limit may be from the last price; empty: the day's band alone counts.", max_digits=5, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0.05'))]),
        ),
        migrations.AddField(
            model_name='riskpolicy',
            name='protection_percent',
            field=models.DecimalField(decimal_places=2, default=Decimal('1'), help_text='How far from the last price the limit of a MARKET order is sent.', max_digits=5, validators=[django.core.validators.MinValueValidator(Decimal('0.05')), django.core.validators.MaxValueValidator(Decimal('50'))]),
        ),
        migrations.AddField(
            model_name='riskpolicy',
            name='refuse_unknown_margin',
            field=models.BooleanField(default=True, help_text='Refuse an entry whose margin the calculator does not tell.'),
        ),
        migrations.AddField(
            model_name='riskpolicy',
            name='stop_protection_percent',
            field=models.DecimalField(decimal_places=2, default=Decimal('2'), help_text='How far beyond its trigger the limit of a STOP_MARKET order is sent.', max_digits=5, validators=[django.core.validators.MinValueValidator(Decimal('0.05')), django.core.validators.MaxValueValidator(Decimal('50'))]),
        ),
        migrations.AddIndex(
            model_name='hold',
            index=models.Index(condition=models.Q(('margin__isnull', False)), fields=['account', 'released_mark'], name='hold_of_margin'),
        ),
    ]
