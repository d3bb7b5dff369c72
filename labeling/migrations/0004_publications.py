"""Publications are queued before they freeze a batch; removals; a segment can only be retired."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import labeling.datasets.models
from django.conf import settings
from django.db import migrations, models


# What a segment says of its file never changes. Once retired (replaced by a compacted one) its row may go with its file.
GUARD = """
create function labeling_refuse_segment_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        if old.state <> 'retired' then
            raise exception 'only a retired segment can be deleted' using errcode = 'integrity_constraint_violation';
        end if;
        return old;
    end if;
    if (to_jsonb(new) - array['state', 'retired_at']) <> (to_jsonb(old) - array['state', 'retired_at'])
       or old.state <> 'live' or new.state <> 'retired' or new.retired_at is null then
        raise exception 'a segment can only be retired, once' using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;
create trigger segments_only_retire before update or delete on labeling_datasetsegment
    for each row execute function labeling_refuse_segment_change();
"""
UNGUARD = """
drop trigger segments_only_retire on labeling_datasetsegment;
drop function labeling_refuse_segment_change();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0003_trust_rollups'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='datasetentry',
            name='one_ledger_entry_per_decision',
        ),
        migrations.RemoveConstraint(
            model_name='waitingdecision',
            name='decision_waits_once',
        ),
        migrations.RemoveIndex(
            model_name='datasetentry',
            name='ledger_head',
        ),
        migrations.RemoveIndex(
            model_name='waitingdecision',
            name='waiting_unclaimed',
        ),
        migrations.RemoveField(
            model_name='datasetentry',
            name='label',
        ),
        migrations.RemoveField(
            model_name='publication',
            name='tag',
        ),
        migrations.AddField(
            model_name='datasetentry',
            name='removes',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='publication',
            name='decision_count',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='publication',
            name='seed',
            field=models.BinaryField(default=labeling.datasets.models._new_seed, help_text='Row salts derive from it, so that a resumed publication writes the same file; forgotten at the end', null=True),
        ),
        migrations.AddField(
            model_name='publication',
            name='tags',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), default=list, size=None),
        ),
        migrations.AddField(
            model_name='publication',
            name='tried_at',
            field=models.DateTimeField(help_text='When a worker last gave a sign of life', null=True),
        ),
        migrations.AddField(
            model_name='waitingdecision',
            name='failures',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, help_text='Failed publications it was part of'),
        ),
        migrations.AddField(
            model_name='waitingdecision',
            name='removes',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AlterField(
            model_name='datasetentry',
            name='dataset',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='labeling.dataset'),
        ),
        migrations.AlterField(
            model_name='datasetentry',
            name='id',
            field=models.BigIntegerField(primary_key=True, serialize=False),
        ),
        migrations.AlterField(
            model_name='publication',
            name='error',
            field=models.TextField(blank=True, help_text='Why the last attempt did not succeed'),
        ),
        migrations.AlterField(
            model_name='publication',
            name='number',
            field=models.PositiveIntegerField(help_text='The version an open publication is to become', null=True),
        ),
        migrations.AlterField(
            model_name='publication',
            name='state',
            field=models.CharField(choices=[('queued', 'Queued'), ('open', 'Open'), ('done', 'Done'), ('empty', 'Empty'), ('failed', 'Failed')], default='queued', max_length=20),
        ),
        migrations.AlterField(
            model_name='waitingdecision',
            name='publication',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='claimed', to='labeling.publication'),
        ),
        migrations.AlterField(
            model_name='waitingdecision',
            name='since',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), help_text='Offered, or given back by a failed publication'),
        ),
        migrations.AddIndex(
            model_name='datasetentry',
            index=models.Index(condition=models.Q(('op__in', ['a', 'c', 'r'])), fields=['dataset', 'item_id', '-version'], include=('id', 'decision_id', 'op', 'split'), name='ledger_head'),
        ),
        migrations.AddIndex(
            model_name='waitingdecision',
            index=models.Index(condition=models.Q(('publication__isnull', True)), fields=['dataset', 'since', 'id'], name='waiting_unclaimed'),
        ),
        migrations.AddIndex(
            model_name='waitingdecision',
            index=models.Index(condition=models.Q(('publication__isnull', False)), fields=['publication'], name='waiting_claimed'),
        ),
        migrations.AddConstraint(
            model_name='datasetentry',
            constraint=models.UniqueConstraint(fields=('decision_id', 'dataset', 'removes'), name='one_ledger_entry_per_decision'),
        ),
        migrations.AddConstraint(
            model_name='publication',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'queued')), fields=('dataset',), name='one_queued_publication'),
        ),
        migrations.AddConstraint(
            model_name='waitingdecision',
            constraint=models.UniqueConstraint(fields=('decision', 'dataset', 'removes'), name='decision_waits_once'),
        ),
        migrations.RunSQL(GUARD, UNGUARD),
    ]
