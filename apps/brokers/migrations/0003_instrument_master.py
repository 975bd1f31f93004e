"""The master of instruments: retired ids, what people block, price limits of one day, imports."""

import django.utils.timezone
from django.db import migrations, models

# What nobody could trade until now was switched off by a person, or is an index.
WHO_CLOSED_IT = """
UPDATE brokers_instrument SET closed = 'INDEX', tradable = FALSE WHERE segment = 'INDEX';
UPDATE brokers_instrument SET blocked = TRUE WHERE NOT tradable AND segment <> 'INDEX';
"""
# For exact symbols in any case, and for their beginnings.
BY_SYMBOL = """
CREATE INDEX instrument_by_upper_symbol ON brokers_instrument (upper(symbol) text_pattern_ops);
"""
KEEPS_WHAT_IT_IS = """
CREATE FUNCTION instrument_keeps_what_it_is() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.retired_at IS NOT NULL THEN
        RAISE EXCEPTION 'instrument % is retired: it stays what it was', OLD.id;
    END IF;
    RAISE EXCEPTION 'instrument % keeps its segment and security id', OLD.id;
END $$;
CREATE TRIGGER instrument_keeps_what_it_is BEFORE UPDATE ON brokers_instrument FOR EACH ROW
    WHEN (OLD.retired_at IS NOT NULL
          OR OLD.segment <> NEW.segment OR OLD.security_id <> NEW.security_id)
    EXECUTE FUNCTION instrument_keeps_what_it_is();
"""
HISTORY = """
CREATE TRIGGER brokers_instrumentimport_is_history
    BEFORE UPDATE OR DELETE ON brokers_instrumentimport
    FOR EACH ROW EXECUTE FUNCTION history_is_append_only();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('brokers', '0002_fences'),
    ]

    operations = [
        migrations.CreateModel(
            name='InstrumentImport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, help_text='When its reading began.')),
                ('broker', models.CharField(choices=[('dhan', 'DhanHQ')], max_length=20)),
                ('source', models.CharField(help_text='Address or name of the file.', max_length=300)),
                ('layout', models.CharField(blank=True, help_text="Which of the broker's files.", max_length=20)),
                ('sha256', models.CharField(blank=True, help_text='Of the text, unpacked.', max_length=64)),
                ('published_at', models.DateTimeField(help_text='When the file was last written, as its server or the disk says.', null=True)),
                ('actor', models.CharField(blank=True, max_length=150)),
                ('outcome', models.CharField(choices=[('APPLIED', 'Applied'), ('REFUSED', 'Refused: nothing changed')], max_length=10)),
                ('why', models.TextField(blank=True)),
                ('rows', models.PositiveIntegerField(default=0, help_text='In the file, the header aside.')),
                ('added', models.PositiveIntegerField(default=0, verbose_name='new')),
                ('changed', models.PositiveIntegerField(default=0)),
                ('unchanged', models.PositiveIntegerField(default=0)),
                ('gone', models.PositiveIntegerField(default=0, help_text='Not in the file any more.')),
                ('reused', models.PositiveIntegerField(default=0, help_text='Ids that name another contract now.')),
                ('doubtful', models.PositiveIntegerField(default=0, help_text='Skipped: not understood.')),
                ('left_out', models.PositiveIntegerField(default=0, help_text='Skipped: no segment to trade them under, or tests of the exchange.')),
                ('doubts', models.JSONField(default=list, help_text='The first rows that were not understood.')),
                ('seconds', models.FloatField(default=0)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='instrument',
            name='instrument_is_segment_and_id',
        ),
        migrations.AddField(
            model_name='instrument',
            name='blocked',
            field=models.BooleanField(default=False, help_text='A person keeps it from trading, whatever the master says.'),
        ),
        migrations.AddField(
            model_name='instrument',
            name='closed',
            field=models.CharField(blank=True, choices=[('INDEX', 'an index is not traded'), ('UNITS', 'the master does not say what one lot holds'), ('EXPIRED', 'the contract is over'), ('GONE', "it is not in the broker's file any more"), ('REUSED', 'its security id names another contract now')], help_text='Why the master keeps it from trading.', max_length=10),
        ),
        migrations.AddField(
            model_name='instrument',
            name='limits_on',
            field=models.DateField(blank=True, help_text='The one day of these price limits; empty: any day.', null=True),
        ),
        migrations.AddField(
            model_name='instrument',
            name='retired_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='instrument',
            name='series',
            field=models.CharField(blank=True, help_text='Of a share: EQ, BE, A …', max_length=10),
        ),
        migrations.AlterField(
            model_name='instrument',
            name='symbol',
            field=models.CharField(help_text='RELIANCE, HFCL-BE, NIFTY-29DEC2026-24500-CE, GOLD-04DEC2026-FUT.', max_length=80),
        ),
        migrations.AlterField(
            model_name='instrument',
            name='tradable',
            field=models.BooleanField(default=True, help_text='Neither closed nor blocked.'),
        ),
        migrations.RunSQL(WHO_CLOSED_IT, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name='instrument',
            index=models.Index(fields=['segment', 'symbol'], name='instrument_by_symbol'),
        ),
        migrations.AddIndex(
            model_name='instrument',
            index=models.Index(fields=['underlying', 'strike', 'option_type', 'expiry'], name='instrument_by_contract', opclasses=['varchar_pattern_ops', 'numeric_ops', 'varchar_ops', 'date_ops']),
        ),
        migrations.AddIndex(
            model_name='instrument',
            index=models.Index(condition=models.Q(('isin', ''), _negated=True), fields=['isin'], name='instrument_by_isin'),
        ),
        migrations.AddIndex(
            model_name='instrument',
            index=models.Index(condition=models.Q(('expiry__isnull', True)), fields=['name'], name='instrument_without_expiry'),
        ),
        migrations.AddConstraint(
            model_name='instrument',
            constraint=models.UniqueConstraint(condition=models.Q(('retired_at__isnull', True)), fields=('segment', 'security_id'), name='instrument_is_segment_and_id'),
        ),
        migrations.AddConstraint(
            model_name='instrument',
            constraint=models.CheckConstraint(condition=models.Q(('tradable', False), models.Q(('blocked', False), ('closed', ''), ('retired_at__isnull', True)), _connector='OR'), name='tradable_is_neither_closed_nor_blocked'),
        ),
        migrations.AddIndex(
            model_name='instrumentimport',
            index=models.Index(fields=['broker', 'outcome', '-at'], name='import_newest'),
        ),
        migrations.RunSQL(BY_SYMBOL, "DROP INDEX instrument_by_upper_symbol;"),
        migrations.RunSQL(
            KEEPS_WHAT_IT_IS,
            "DROP TRIGGER instrument_keeps_what_it_is ON brokers_instrument;"
            "DROP FUNCTION instrument_keeps_what_it_is();",
        ),
        migrations.RunSQL(
            HISTORY,
            "DROP TRIGGER brokers_instrumentimport_is_history ON brokers_instrumentimport;",
        ),
    ]
