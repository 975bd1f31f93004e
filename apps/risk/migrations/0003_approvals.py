
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('risk', '0002_fences'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='riskpolicy',
            name='approval_above_value',
            field=models.DecimalField(blank=True, decimal_places=2, help_text='Rupees per entry above which a second person must approve; empty is never.', max_digits=16, null=True),
        ),
        migrations.CreateModel(
            name='Approval',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=20)),
                ('subject', models.CharField(help_text='What it is about, by its own name.', max_length=60)),
                ('payload', models.JSONField(default=dict)),
                ('reason', models.CharField(max_length=300)),
                ('requested_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('expires_at', models.DateTimeField()),
                ('decision', models.CharField(blank=True, choices=[('APPROVED', 'Approved'), ('REFUSED', 'Refused'), ('EXPIRED', 'Expired'), ('WITHDRAWN', 'Withdrawn')], max_length=10)),
                ('decided_at', models.DateTimeField(null=True)),
                ('decision_reason', models.CharField(blank=True, max_length=400)),
                ('executed_at', models.DateTimeField(null=True)),
                ('result', models.TextField(blank=True)),
                ('decided_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
                'permissions': [('decide_approval', 'Can approve or refuse what others ask for')],
                'default_permissions': ('view',),
            },
        ),
        migrations.AddField(
            model_name='statechange',
            name='approval',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='risk.approval'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by', None), models.Q(('decided_by', models.F('requested_by')), _negated=True), _connector='OR'), name='maker_is_not_checker'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decision__in', ['APPROVED', 'REFUSED']), ('decided_by__isnull', False)), models.Q(models.Q(('decision__in', ['APPROVED', 'REFUSED']), _negated=True), ('decided_by', None)), _connector='OR'), name='people_approve_and_refuse'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decision', 'APPROVED'), _negated=True), ('decided_at__lte', models.F('expires_at')), _connector='OR'), name='approved_before_expiry'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.CheckConstraint(condition=models.Q(('executed_at', None), ('decision', 'APPROVED'), _connector='OR'), name='only_what_is_approved_is_done'),
        ),
        migrations.AddConstraint(
            model_name='approval',
            constraint=models.UniqueConstraint(condition=models.Q(('decision', '')), fields=('kind', 'subject'), name='one_waiting_approval_per_subject'),
        ),
    ]
