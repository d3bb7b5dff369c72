import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import labeling.datasets.models
import labeling.ids
import labeling.ingestion.models
import labeling.projects.models
from django.conf import settings
from django.db import migrations, models


ID_FUNCTION = """
create sequence labeling_id_block as bigint;
create sequence labeling_id as bigint cache 32;
create function labeling_next_id() returns bigint language sql volatile as $$
    select (floor(extract(epoch from clock_timestamp()))::bigint - 1735689600) << 20
           | (nextval('labeling_id') % 1048576)
$$;
"""
DROP_ID_FUNCTION = """
drop function labeling_next_id();
drop sequence labeling_id;
drop sequence labeling_id_block;
"""


class CreatePartitionedModel(migrations.CreateModel):
    """CreateModel for a table partitioned by ranges of its id."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        plain = schema_editor.sql_create_table
        schema_editor.sql_create_table = plain + " PARTITION BY RANGE (id)"
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        schema_editor.sql_create_table = plain


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(ID_FUNCTION, DROP_ID_FUNCTION),
        migrations.CreateModel(
            name='Dataset',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(max_length=60)),
                ('head', models.PositiveIntegerField(default=0)),
                ('split_salt', models.BinaryField(default=labeling.datasets.models._new_salt)),
                ('split_ratios', models.JSONField(default=labeling.datasets.models._default_ratios)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Project',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(max_length=60, unique=True)),
                ('name', models.CharField(max_length=200)),
                ('task_type', models.CharField(choices=[('classification', 'Classification'), ('multilabel', 'Multilabel'), ('text', 'Text'), ('fields', 'Fields'), ('spans', 'Spans'), ('boxes', 'Boxes')], max_length=20)),
                ('time_zone', models.CharField(default='UTC', max_length=60)),
                ('simulation', models.BooleanField(default=False, help_text='Holds replayed or invented work; days follow occurred_at, and every page says so.')),
                ('schema_number', models.PositiveIntegerField(default=1)),
                ('guidelines_number', models.PositiveIntegerField(default=0)),
                ('policy_number', models.PositiveIntegerField(default=0)),
                ('routing_epoch', models.BigIntegerField(default=1)),
                ('lottery_secret', models.BinaryField(default=labeling.projects.models._new_secret)),
                ('publish_every_seconds', models.PositiveIntegerField(default=900)),
                ('publish_after_decisions', models.PositiveIntegerField(default=1000)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['slug'],
            },
        ),
        CreatePartitionedModel(
            name='Item',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('project_id', models.BigIntegerField()),
                ('key', models.TextField(help_text="The client's own id")),
                ('input', labeling.ingestion.models.JsonText()),
                ('received_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='ItemKey',
            fields=[
                ('key_hash', models.UUIDField(primary_key=True, serialize=False)),
                ('project_id', models.BigIntegerField()),
                ('item_id', models.BigIntegerField()),
                ('input_hash', models.UUIDField()),
                ('model_version_id', models.BigIntegerField()),
                ('content_hash', models.UUIDField()),
                ('route', models.TextField(choices=[('auto', 'Auto'), ('review', 'Review'), ('fallback', 'Fallback'), ('settled', 'Settled')])),
                ('policy_number', models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='TrustDelta',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('project_id', models.BigIntegerField()),
                ('payload', models.JSONField()),
            ],
        ),
        migrations.CreateModel(
            name='DatasetTagEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64)),
                ('from_version', models.PositiveIntegerField(null=True)),
                ('to_version', models.PositiveIntegerField(null=True)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tag_events', to='labeling.dataset')),
            ],
        ),
        migrations.CreateModel(
            name='Decision',
            fields=[
                ('id', models.BigIntegerField(db_default=labeling.ids.NextId(), primary_key=True, serialize=False)),
                ('item_id', models.BigIntegerField()),
                ('prediction_id', models.BigIntegerField()),
                ('purpose', models.CharField(max_length=20)),
                ('verdict', models.CharField(choices=[('confirmed', 'Confirmed'), ('corrected', 'Corrected'), ('labelled', 'Labelled'), ('rejected', 'Rejected'), ('escalated', 'Escalated')], max_length=20)),
                ('output', labeling.ingestion.models.JsonText(null=True)),
                ('agreed', models.BooleanField(null=True)),
                ('note', models.TextField(blank=True)),
                ('seconds', models.FloatField(null=True)),
                ('claim_token', models.UUIDField(unique=True)),
                ('request_hash', models.UUIDField(help_text='Fingerprint of the request, to tell a repeat from another answer')),
                ('guidelines_number', models.PositiveIntegerField(default=0)),
                ('decided_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('decided_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to=settings.AUTH_USER_MODEL)),
                ('supersedes', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='superseded_by', to='labeling.decision')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to='labeling.project')),
            ],
        ),
        migrations.CreateModel(
            name='AcceptedLabel',
            fields=[
                ('item_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('project_id', models.BigIntegerField()),
                ('output', labeling.ingestion.models.JsonText(null=True)),
                ('origin', models.CharField(choices=[('auto', 'Auto'), ('human', 'Human'), ('fallback', 'Fallback')], max_length=20, null=True)),
                ('revision', models.PositiveIntegerField(default=0)),
                ('decision', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.decision')),
            ],
        ),
        migrations.CreateModel(
            name='FeedHead',
            fields=[
                ('project', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='feed_head', serialize=False, to='labeling.project')),
                ('last_number', models.BigIntegerField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name='dataset',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='datasets', to='labeling.project'),
        ),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('prefix', models.CharField(help_text='The first characters, to recognise a key by', max_length=12)),
                ('digest', models.CharField(editable=False, max_length=64, unique=True)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('ingest', 'Ingest'), ('review', 'Review'), ('datasets:read', 'Datasets Read'), ('manage', 'Manage')], max_length=20), size=None)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('member', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='api_keys', to=settings.AUTH_USER_MODEL)),
                ('revoked_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='api_keys', to='labeling.project')),
            ],
            options={
                'verbose_name': 'API key',
            },
        ),
        migrations.CreateModel(
            name='Guidelines',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('text', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='guidelines_versions', to='labeling.project')),
            ],
            options={
                'verbose_name_plural': 'guidelines',
            },
        ),
        migrations.CreateModel(
            name='HistoryEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('action', models.CharField(max_length=60)),
                ('subject', models.CharField(help_text='What was changed, as kind:id', max_length=200)),
                ('details', models.JSONField(default=dict)),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='who')),
                ('key', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.apikey')),
                ('project', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='history_events', to='labeling.project')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='LabelSchema',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('body', models.JSONField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='label_schemas', to='labeling.project')),
            ],
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('role', models.CharField(choices=[('owner', 'Owner'), ('lead', 'Lead'), ('reviewer', 'Reviewer'), ('viewer', 'Viewer')], max_length=20)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='labeling.project')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='ModelVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('version', models.CharField(blank=True, max_length=200)),
                ('first_seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='model_versions', to='labeling.project')),
            ],
        ),
        migrations.CreateModel(
            name='Outcome',
            fields=[
                ('id', models.BigIntegerField(db_default=labeling.ids.NextId(), primary_key=True, serialize=False)),
                ('project_id', models.BigIntegerField()),
                ('item_id', models.BigIntegerField()),
                ('prediction_id', models.BigIntegerField()),
                ('output', labeling.ingestion.models.JsonText(null=True)),
                ('origin', models.CharField(choices=[('auto', 'Auto'), ('human', 'Human'), ('fallback', 'Fallback')], max_length=20)),
                ('verdict', models.CharField(choices=[('confirmed', 'Confirmed'), ('corrected', 'Corrected'), ('labelled', 'Labelled'), ('rejected', 'Rejected'), ('escalated', 'Escalated')], max_length=20, null=True)),
                ('decided_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('revision', models.PositiveIntegerField()),
                ('decision', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.decision')),
            ],
        ),
        migrations.CreateModel(
            name='OutcomeBatch',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('project_id', models.BigIntegerField()),
                ('of_predictions', models.BooleanField()),
                ('entries', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ('size', models.IntegerField()),
                ('first_number', models.BigIntegerField(null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('first_number__isnull', True)), fields=['project_id', 'id'], name='outcomes_unnumbered'), models.Index(fields=['project_id', 'first_number'], name='outcomes_by_number')],
            },
        ),
        migrations.CreateModel(
            name='PolicyPeriod',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('policy_number', models.PositiveIntegerField()),
                ('label_group', models.CharField(blank=True, max_length=200)),
                ('epoch', models.PositiveIntegerField(default=1)),
                ('level', models.PositiveSmallIntegerField(default=0)),
                ('high', models.FloatField(help_text='At or above this confidence a prediction is applied automatically')),
                ('low', models.FloatField(help_text='Below this confidence the fallback applies')),
                ('audit_rate', models.FloatField()),
                ('reason', models.TextField()),
                ('started_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(null=True)),
                ('model_version', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='policy_periods', to='labeling.modelversion')),
                ('opened_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='policy_periods', to='labeling.project')),
            ],
        ),
        migrations.CreateModel(
            name='PolicyVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('body', models.JSONField()),
                ('note', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='policy_versions', to='labeling.project')),
            ],
        ),
        CreatePartitionedModel(
            name='Prediction',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('project_id', models.BigIntegerField()),
                ('item_id', models.BigIntegerField()),
                ('model_version_id', models.BigIntegerField()),
                ('output', labeling.ingestion.models.JsonText()),
                ('confidence', models.FloatField()),
                ('label', models.TextField(help_text='The predicted label where the task type has exactly one', null=True)),
                ('segment', models.TextField(null=True)),
                ('details', labeling.ingestion.models.JsonText(help_text='probabilities, explanation, latency_ms, cost', null=True)),
                ('occurred_at', models.DateTimeField(null=True)),
                ('received_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('route', models.TextField(choices=[('auto', 'Auto'), ('review', 'Review'), ('fallback', 'Fallback'), ('settled', 'Settled')])),
                ('reason', models.TextField()),
                ('policy_number', models.IntegerField()),
                ('period_id', models.BigIntegerField()),
                ('audit_probability', models.FloatField()),
                ('audited', models.BooleanField()),
                ('final_output', labeling.ingestion.models.JsonText(null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['project_id', 'route', 'id'], name='prediction_by_route')],
            },
        ),
        migrations.CreateModel(
            name='PredictionKey',
            fields=[
                ('prediction_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('item_id', models.BigIntegerField()),
                ('model_version_id', models.BigIntegerField()),
                ('content_hash', models.UUIDField()),
                ('route', models.TextField(choices=[('auto', 'Auto'), ('review', 'Review'), ('fallback', 'Fallback'), ('settled', 'Settled')])),
                ('policy_number', models.IntegerField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('item_id', 'model_version_id'), name='prediction_once_per_model_version')],
            },
        ),
        migrations.CreateModel(
            name='Publication',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(help_text='The version this becomes')),
                ('state', models.CharField(choices=[('open', 'Open'), ('done', 'Done'), ('empty', 'Empty'), ('failed', 'Failed')], default='open', max_length=20)),
                ('attempt', models.PositiveIntegerField(default=0)),
                ('note', models.TextField(blank=True)),
                ('tag', models.CharField(blank=True, max_length=64)),
                ('error', models.TextField(blank=True)),
                ('opened_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('closed_at', models.DateTimeField(null=True)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='publications', to='labeling.dataset')),
                ('opened_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='DatasetVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('parent', models.PositiveIntegerField(null=True)),
                ('digest', models.CharField(max_length=64)),
                ('added', models.IntegerField()),
                ('changed', models.IntegerField()),
                ('removed', models.IntegerField()),
                ('rows_live', models.BigIntegerField()),
                ('split_counts', models.JSONField()),
                ('label_counts', models.JSONField()),
                ('schema_number', models.PositiveIntegerField()),
                ('note', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='versions', to='labeling.dataset')),
                ('publication', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='version', to='labeling.publication')),
            ],
        ),
        migrations.CreateModel(
            name='ReviewerDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('project_id', models.BigIntegerField()),
                ('day', models.DateField()),
                ('queue_id', models.BigIntegerField()),
                ('reviewed', models.BigIntegerField(default=0)),
                ('confirmed', models.BigIntegerField(default=0)),
                ('corrected', models.BigIntegerField(default=0)),
                ('labelled', models.BigIntegerField(default=0)),
                ('rejected', models.BigIntegerField(default=0)),
                ('escalated', models.BigIntegerField(default=0)),
                ('sentinels', models.BigIntegerField(default=0)),
                ('sentinels_missed', models.BigIntegerField(default=0)),
                ('gold', models.BigIntegerField(default=0)),
                ('gold_changed', models.BigIntegerField(default=0)),
                ('double_reviewed', models.BigIntegerField(default=0)),
                ('agreed', models.BigIntegerField(default=0)),
                ('seconds', models.FloatField(default=0)),
                ('reviewer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='ReviewQueue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(max_length=60)),
                ('name', models.CharField(max_length=200)),
                ('leads_only', models.BooleanField(default=False)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='queues', to='labeling.project')),
            ],
        ),
        migrations.CreateModel(
            name='QueueMark',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('priority', models.SmallIntegerField()),
                ('low', models.BigIntegerField(default=0)),
                ('queue', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='marks', to='labeling.reviewqueue')),
            ],
        ),
        migrations.CreateModel(
            name='ReviewTask',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('review', 'Review'), ('label', 'Label'), ('adjudication', 'Adjudication')], max_length=20)),
                ('purpose', models.CharField(choices=[('review', 'Review'), ('audit', 'Audit'), ('fallback', 'Fallback'), ('second_review', 'Second Review'), ('adjudication', 'Adjudication'), ('sentinel', 'Sentinel')], max_length=20)),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('claimed', 'Claimed'), ('decided', 'Decided'), ('cancelled', 'Cancelled')], default='waiting', max_length=20)),
                ('item_id', models.BigIntegerField()),
                ('prediction_id', models.BigIntegerField()),
                ('model_version_id', models.BigIntegerField()),
                ('confidence', models.FloatField()),
                ('segment', models.TextField(null=True)),
                ('label', models.TextField(null=True)),
                ('slot', models.PositiveSmallIntegerField(default=1, help_text='Tells apart the tasks of one item that may be open at once')),
                ('priority', models.SmallIntegerField(default=0)),
                ('position', models.BigIntegerField()),
                ('due_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('claim_token', models.UUIDField(null=True)),
                ('claimed_at', models.DateTimeField(null=True)),
                ('lease_expires_at', models.DateTimeField(null=True)),
                ('claimed_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='claims', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tasks', to='labeling.project')),
                ('queue', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='tasks', to='labeling.reviewqueue')),
            ],
        ),
        migrations.CreateModel(
            name='Exclusion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.TextField(blank=True)),
                ('until', models.DateTimeField(help_text='Empty: for ever', null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('task', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='exclusions', to='labeling.reviewtask')),
            ],
        ),
        migrations.AddField(
            model_name='decision',
            name='task',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to='labeling.reviewtask'),
        ),
        migrations.CreateModel(
            name='TrustCell',
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
                ('bucket', models.SmallIntegerField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project_id', 'day', 'period_id', 'model_version_id', 'bucket'), name='one_trust_cell')],
            },
        ),
        migrations.CreateModel(
            name='TrustHour',
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
                ('hour', models.DateTimeField()),
                ('period_id', models.BigIntegerField()),
                ('model_version_id', models.BigIntegerField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project_id', 'hour', 'period_id', 'model_version_id'), name='one_trust_hour')],
            },
        ),
        migrations.CreateModel(
            name='TrustSlice',
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
                ('model_version_id', models.BigIntegerField()),
                ('kind', models.CharField(choices=[('segment', 'Segment'), ('label', 'Label')], max_length=20)),
                ('value', models.TextField(blank=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project_id', 'day', 'model_version_id', 'kind', 'value'), name='one_trust_slice')],
            },
        ),
        migrations.CreateModel(
            name='WaitingDecision',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('since', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('dataset', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='waiting', to='labeling.dataset')),
                ('decision', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='labeling.decision')),
                ('publication', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='claimed', to='labeling.publication')),
            ],
        ),
        migrations.CreateModel(
            name='Withdrawal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.TextField(blank=True)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('decision', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='withdrawal', to='labeling.decision')),
            ],
        ),
        migrations.CreateModel(
            name='DatasetEntry',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('decision_id', models.BigIntegerField()),
                ('item_id', models.BigIntegerField()),
                ('version', models.PositiveIntegerField(help_text='Empty when the publication wrote no version', null=True)),
                ('op', models.CharField(choices=[('a', 'Add'), ('c', 'Change'), ('r', 'Remove'), ('f', 'Folded'), ('s', 'Stale')], max_length=1)),
                ('supersedes', models.BigIntegerField(null=True)),
                ('split', models.CharField(blank=True, max_length=20)),
                ('label', models.JSONField(null=True)),
                ('row_digest', models.BinaryField(null=True)),
                ('dataset', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='labeling.dataset')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('op__in', ['a', 'c', 'r'])), fields=['dataset', 'item_id', '-version'], include=('decision_id', 'op'), name='ledger_head')],
                'constraints': [models.UniqueConstraint(fields=('dataset', 'decision_id'), name='one_ledger_entry_per_decision')],
            },
        ),
        migrations.CreateModel(
            name='DatasetSegment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('lo', models.PositiveIntegerField()),
                ('hi', models.PositiveIntegerField()),
                ('path', models.TextField()),
                ('sha256', models.CharField(max_length=64)),
                ('size_bytes', models.BigIntegerField()),
                ('row_count', models.BigIntegerField()),
                ('state', models.CharField(choices=[('live', 'Live'), ('retired', 'Retired')], default='live', max_length=20)),
                ('retired_at', models.DateTimeField(null=True)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='segments', to='labeling.dataset')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('dataset', 'path'), name='segment_path_once')],
            },
        ),
        migrations.CreateModel(
            name='DatasetTag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64)),
                ('version', models.PositiveIntegerField()),
                ('protected', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tags', to='labeling.dataset')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('dataset', 'name'), name='tag_name_once')],
            },
        ),
        migrations.AddConstraint(
            model_name='project',
            constraint=models.CheckConstraint(condition=models.Q(('task_type__in', ['classification', 'multilabel', 'text', 'fields', 'spans', 'boxes'])), name='project_task_type_known'),
        ),
        migrations.AddConstraint(
            model_name='dataset',
            constraint=models.UniqueConstraint(fields=('project', 'slug'), name='dataset_slug_once'),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('revoked_at__isnull', True), ('revoked_by__isnull', True)), models.Q(('revoked_at__isnull', False), ('revoked_by__isnull', False)), _connector='OR'), name='api_key_revoked_whole'),
        ),
        migrations.AddConstraint(
            model_name='guidelines',
            constraint=models.UniqueConstraint(fields=('project', 'number'), name='guidelines_number_once'),
        ),
        migrations.AddIndex(
            model_name='historyevent',
            index=models.Index(fields=['project', '-id'], name='history_by_project'),
        ),
        migrations.AddIndex(
            model_name='historyevent',
            index=models.Index(fields=['subject', '-id'], name='history_by_subject'),
        ),
        migrations.AddConstraint(
            model_name='labelschema',
            constraint=models.UniqueConstraint(fields=('project', 'number'), name='label_schema_number_once'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.UniqueConstraint(fields=('project', 'user'), name='one_role_per_project'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['owner', 'lead', 'reviewer', 'viewer'])), name='membership_role_known'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.UniqueConstraint(fields=('project', 'name', 'version'), name='model_version_once'),
        ),
        migrations.AddIndex(
            model_name='policyperiod',
            index=models.Index(fields=['project', '-id'], name='period_by_project'),
        ),
        migrations.AddConstraint(
            model_name='policyperiod',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('project', 'model_version', 'label_group'), name='one_open_period_per_scope', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='policyversion',
            constraint=models.UniqueConstraint(fields=('project', 'number'), name='policy_number_once'),
        ),
        migrations.AddConstraint(
            model_name='publication',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('dataset',), name='one_open_publication'),
        ),
        migrations.AddConstraint(
            model_name='datasetversion',
            constraint=models.UniqueConstraint(fields=('dataset', 'number'), name='dataset_version_once'),
        ),
        migrations.AddConstraint(
            model_name='reviewerday',
            constraint=models.UniqueConstraint(fields=('project_id', 'day', 'reviewer', 'queue_id'), name='one_reviewer_day'),
        ),
        migrations.AddConstraint(
            model_name='reviewqueue',
            constraint=models.UniqueConstraint(fields=('project', 'slug'), name='queue_slug_once'),
        ),
        migrations.AddConstraint(
            model_name='queuemark',
            constraint=models.UniqueConstraint(fields=('queue', 'priority'), name='one_mark_per_priority'),
        ),
        migrations.AddIndex(
            model_name='reviewtask',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['queue', '-priority', 'position'], name='task_waiting'),
        ),
        migrations.AddIndex(
            model_name='reviewtask',
            index=models.Index(condition=models.Q(('state', 'claimed')), fields=['lease_expires_at'], name='task_lease'),
        ),
        migrations.AddIndex(
            model_name='reviewtask',
            index=models.Index(condition=models.Q(('state', 'claimed')), fields=['claimed_by'], name='task_claimed_by'),
        ),
        migrations.AddIndex(
            model_name='reviewtask',
            index=models.Index(fields=['item_id'], name='task_by_item'),
        ),
        migrations.AddConstraint(
            model_name='reviewtask',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['waiting', 'claimed'])), fields=('item_id', 'slot'), name='one_open_task_per_item_and_slot'),
        ),
        migrations.AddConstraint(
            model_name='reviewtask',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('claim_token__isnull', False), ('claimed_at__isnull', False), ('claimed_by__isnull', False), ('lease_expires_at__isnull', False), ('state', 'claimed')), models.Q(('claim_token__isnull', True), ('claimed_at__isnull', True), ('claimed_by__isnull', True), ('lease_expires_at__isnull', True), ('state__in', ['waiting', 'decided', 'cancelled'])), _connector='OR'), name='task_claim_whole'),
        ),
        migrations.AddConstraint(
            model_name='exclusion',
            constraint=models.UniqueConstraint(fields=('task', 'user'), name='one_exclusion_per_person'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['item_id', 'id'], name='decision_by_item'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['decided_by', '-id'], name='decision_by_person'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['project', 'verdict', '-id'], name='decision_by_verdict'),
        ),
        migrations.AddConstraint(
            model_name='decision',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('output__isnull', True), ('verdict__in', ['rejected', 'escalated'])), models.Q(('output__isnull', False), ('verdict__in', ['confirmed', 'corrected', 'labelled'])), _connector='OR'), name='decision_output_fits_verdict'),
        ),
        migrations.AddIndex(
            model_name='waitingdecision',
            index=models.Index(condition=models.Q(('publication__isnull', True)), fields=['dataset', 'id'], name='waiting_unclaimed'),
        ),
        migrations.AddConstraint(
            model_name='waitingdecision',
            constraint=models.UniqueConstraint(fields=('dataset', 'decision'), name='decision_waits_once'),
        ),
    ]
