"""What a policy does about too many reviews. `due_at` was never written nor read."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0018_autonomy'),
    ]

    operations = [
        migrations.CreateModel(
            name='Overflowed',
            fields=[
                ('task', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='overflowed', serialize=False, to='labeling.reviewtask')),
                ('outcome_id', models.BigIntegerField(help_text="What was served instead of a person's answer")),
                ('policy_number', models.PositiveIntegerField()),
                ('after_seconds', models.PositiveIntegerField(help_text='How long the task was allowed to wait')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.RunSQL(
            "create trigger append_only before update or delete on labeling_overflowed "
            "for each row execute function labeling_refuse_change();",
            "drop trigger append_only on labeling_overflowed;",
        ),
        migrations.RemoveField(
            model_name='reviewtask',
            name='due_at',
        ),
        migrations.AddField(
            model_name='trustcell',
            name='overflowed',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='trustday',
            name='overflowed',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='trusthour',
            name='overflowed',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='trustslice',
            name='overflowed',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='trustweek',
            name='overflowed',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.CreateModel(
            name='Overflowing',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('mode', models.CharField(choices=[('fallback', 'Fallback'), ('refuse', 'Refuse')], max_length=10)),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), help_text='When the rule last had something to do')),
                ('answered', models.PositiveIntegerField(db_default=0, default=0, help_text='How many reviews the fallback has answered')),
                ('ended_at', models.DateTimeField(null=True)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='overflows', to='labeling.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('project',), name='one_overflow_at_a_time')],
            },
        ),
    ]
