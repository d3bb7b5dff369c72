"""Days, weeks and kept slice values; slices know their policy period; deltas are stored as they were written."""

import labeling.ingestion.models
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0002_guards'),
    ]

    operations = [
        migrations.CreateModel(
            name='SliceValue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('project_id', models.BigIntegerField()),
                ('model_version_id', models.BigIntegerField()),
                ('kind', models.CharField(choices=[('segment', 'Segment'), ('segment_none', 'Segment None'), ('segment_other', 'Segment Other'), ('label', 'Label'), ('label_none', 'Label None'), ('label_other', 'Label Other')], max_length=20)),
                ('value', models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name='TrustDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('total', models.BigIntegerField(default=0)),
                ('auto', models.BigIntegerField(default=0)),
                ('review', models.BigIntegerField(default=0)),
                ('fallback', models.BigIntegerField(default=0)),
                ('fallback_manual', models.BigIntegerField(default=0)),
                ('audit_due', models.BigIntegerField(default=0)),
                ('audit_done', models.BigIntegerField(default=0)),
                ('audit_err', models.BigIntegerField(default=0)),
                ('audit_err_adjudicated', models.BigIntegerField(default=0)),
                ('confirmed', models.BigIntegerField(default=0)),
                ('corrected', models.BigIntegerField(default=0)),
                ('rejected', models.BigIntegerField(default=0)),
                ('skipped', models.BigIntegerField(default=0)),
                ('escalated', models.BigIntegerField(default=0)),
                ('shadow_done', models.BigIntegerField(default=0)),
                ('shadow_err', models.BigIntegerField(default=0)),
                ('project_id', models.BigIntegerField()),
                ('day', models.DateField()),
                ('period_id', models.BigIntegerField()),
                ('model_version_id', models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='TrustWeek',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('total', models.BigIntegerField(default=0)),
                ('auto', models.BigIntegerField(default=0)),
                ('review', models.BigIntegerField(default=0)),
                ('fallback', models.BigIntegerField(default=0)),
                ('fallback_manual', models.BigIntegerField(default=0)),
                ('audit_due', models.BigIntegerField(default=0)),
                ('audit_done', models.BigIntegerField(default=0)),
                ('audit_err', models.BigIntegerField(default=0)),
                ('audit_err_adjudicated', models.BigIntegerField(default=0)),
                ('confirmed', models.BigIntegerField(default=0)),
                ('corrected', models.BigIntegerField(default=0)),
                ('rejected', models.BigIntegerField(default=0)),
                ('skipped', models.BigIntegerField(default=0)),
                ('escalated', models.BigIntegerField(default=0)),
                ('shadow_done', models.BigIntegerField(default=0)),
                ('shadow_err', models.BigIntegerField(default=0)),
                ('project_id', models.BigIntegerField()),
                ('week', models.DateField()),
                ('period_id', models.BigIntegerField()),
                ('model_version_id', models.BigIntegerField()),
                ('bucket', models.SmallIntegerField()),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='trustslice',
            name='one_trust_slice',
        ),
        migrations.AddField(
            model_name='trustslice',
            name='period_id',
            field=models.BigIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name='trustdelta',
            name='payload',
            field=labeling.ingestion.models.JsonText(),
        ),
        migrations.AlterField(
            model_name='trustslice',
            name='kind',
            field=models.CharField(choices=[('segment', 'Segment'), ('segment_none', 'Segment None'), ('segment_other', 'Segment Other'), ('label', 'Label'), ('label_none', 'Label None'), ('label_other', 'Label Other')], max_length=20),
        ),
        migrations.AddConstraint(
            model_name='trustslice',
            constraint=models.UniqueConstraint(fields=('project_id', 'kind', 'day', 'period_id', 'model_version_id', 'value'), name='one_trust_slice'),
        ),
        migrations.AddConstraint(
            model_name='slicevalue',
            constraint=models.UniqueConstraint(fields=('project_id', 'kind', 'model_version_id', 'value'), name='one_slice_value'),
        ),
        migrations.AddConstraint(
            model_name='trustday',
            constraint=models.UniqueConstraint(fields=('project_id', 'day', 'period_id', 'model_version_id'), name='one_trust_day'),
        ),
        migrations.AddConstraint(
            model_name='trustweek',
            constraint=models.UniqueConstraint(fields=('project_id', 'week', 'period_id', 'model_version_id', 'bucket'), name='one_trust_week'),
        ),
    ]
