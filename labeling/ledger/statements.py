"""The ledger checks as SQL, one statement each, over sets.

A statement names `checked`, what was looked at, and `wrong (id, what, places)`, what should not be: in words with named places
(one of `WORDS`), and the values for them. One statement sees one moment, so traffic that goes on meanwhile is in all of its
tables or in none. `%(since)s` is the smallest id to look at: ids follow time.
"""

from django.utils.translation import gettext_noop

WORDS = frozenset(
    [
        gettext_noop("acknowledged, but not stored"),
        gettext_noop("has {times} keys"),
        gettext_noop("its key remembers another route"),
        gettext_noop("is one of {times} of its item and model version"),
        gettext_noop("has no item"),
        gettext_noop("is an item without its first prediction"),
        gettext_noop("lost its input, although people were asked about it"),
        gettext_noop("was never put before a person"),
        gettext_noop("is {state} with {times} decisions"),
        gettext_noop("was answered by the fallback and is {state}"),
        gettext_noop("was answered by the fallback without an outcome"),
        gettext_noop("counts a decision that was withdrawn or is another item's"),
        gettext_noop("is {labels} times in or before dataset {slug}"),
        gettext_noop("is {removals} times a removal in dataset {slug}"),
        gettext_noop("is in a dataset, but not a decision"),
        gettext_noop("says {size} outcomes and holds {held}"),
        gettext_noop("starts at {first_number} instead of {expected}"),
        gettext_noop("is a feed that ends at {last_number} with outcomes up to {newest}"),
        gettext_noop("is {times} times in the feed"),
        gettext_noop("is in the feed, but no outcome"),
        gettext_noop("has revision {revision} {times} times"),
        gettext_noop("has revision {revision} beyond its newest, {newest}"),
    ]
)
"""What a statement can say, for makemessages."""

_KEYS = """
    keys as (
        select item_id as prediction_id, item_id, model_version_id, route, policy_number
        from labeling_itemkey where item_id >= %(since)s
        union all
        select prediction_id, item_id, model_version_id, route, policy_number
        from labeling_predictionkey where prediction_id >= %(since)s
    )
"""

ACKNOWLEDGED = f"""
    {_KEYS},
    checked as (
        select keys.*, prediction.id as found
        from keys left join labeling_prediction prediction on prediction.id = keys.prediction_id
    ),
    wrong as (
        select prediction_id as id, 'acknowledged, but not stored' as what, null::jsonb as places from checked where found is null
    )
"""

ROUTES = f"""
    {_KEYS},
    counted as (
        select prediction_id, count(*) as times, min(item_id) as item_id, min(model_version_id) as model_version_id,
               min(route) as route, min(policy_number) as policy_number
        from keys group by prediction_id
    ),
    checked as (
        select prediction.id, coalesce(counted.times, 0) as times,
               row(prediction.item_id, prediction.model_version_id, prediction.route, prediction.policy_number)
               is distinct from row(counted.item_id, counted.model_version_id, counted.route, counted.policy_number) as differs
        from labeling_prediction prediction left join counted on counted.prediction_id = prediction.id
        where prediction.id >= %(since)s
    ),
    wrong as (
        select id, 'has {{times}} keys' as what, jsonb_build_object('times', times) as places from checked where times <> 1
        union all
        select id, 'its key remembers another route', null::jsonb from checked where times = 1 and differs
    )
"""

ONE_PER_VERSION = """
    checked as (
        select item_id, model_version_id, count(*) as times, max(id) as id
        from labeling_prediction where id >= %(since)s group by item_id, model_version_id
    ),
    wrong as (
        select id, 'is one of {times} of its item and model version' as what,
               jsonb_build_object('times', times) as places from checked where times <> 1
    )
"""

# Retention takes old inputs away, never the item, and only where nobody was asked.
ITEMS = """
    checked as (
        select prediction.id, item.id as found
        from labeling_prediction prediction
        left join labeling_item item on item.id = prediction.item_id and item.project_id = prediction.project_id
        where prediction.id >= %(since)s
    ),
    wrong as (
        select id, 'has no item' as what, null::jsonb as places from checked where found is null
        union all
        select item.id, 'is an item without its first prediction', null::jsonb from labeling_item item
        where item.id >= %(since)s and not exists (select from labeling_prediction where id = item.id)
        union all
        select item.id, 'lost its input, although people were asked about it', null::jsonb from labeling_item item
        where item.id >= %(since)s and item.input is null
          and exists (select from labeling_reviewtask where item_id = item.id)
    )
"""

# Of a further prediction no second task is made while one of its item is open.
TASKS_MADE = """
    checked as (
        select id, item_id from labeling_prediction
        where id >= %(since)s
          and (route = 'review' or (route = 'fallback' and final_output is null) or audited)
    ),
    wrong as (
        select checked.id, 'was never put before a person' as what, null::jsonb as places
        from checked
        where not exists (
            select from labeling_reviewtask task
            where task.item_id = checked.item_id and (task.prediction_id = checked.id or checked.id <> checked.item_id))
    )
"""

_STANDING = """
    standing as (
        select decision.*
        from labeling_decision decision
        where decision.id >= %(since)s
          and not exists (select from labeling_withdrawal where decision_id = decision.id)
    )
"""

# Escalating hands a task on, it does not settle it. A correction of a published decision replaces it on its task.
DECISIONS = f"""
    {_STANDING},
    settling as (
        select task_id, count(*) as times from standing
        where verdict <> 'escalated'
          and not exists (select from standing later where later.task_id = standing.task_id and later.supersedes_id = standing.id)
        group by task_id
    ),
    checked as (
        select task.id, task.state, task.reopened, coalesce(settling.times, 0) as times
        from labeling_reviewtask task left join settling on settling.task_id = task.id
        where task.id >= %(since)s and task.purpose <> 'sentinel'
    ),
    wrong as (
        select id, 'is {{state}} with {{times}} decisions' as what, jsonb_build_object('state', state, 'times', times) as places
        from checked where times <> case when state = 'decided' or reopened then 1 else 0 end
    )
"""

# Answered by the fallback for want of people: no task of theirs is left, and the item got exactly this one outcome for it.
OVERFLOWED = """
    checked as (
        select overflowed.task_id as id, task.state, outcome.origin, outcome.decision_id,
               outcome.item_id = task.item_id and outcome.prediction_id = task.prediction_id as fits
        from labeling_overflowed overflowed
        join labeling_reviewtask task on task.id = overflowed.task_id
        left join labeling_outcome outcome on outcome.id = overflowed.outcome_id
        where overflowed.outcome_id >= %(since)s
    ),
    wrong as (
        select id, 'was answered by the fallback and is {state}' as what,
               jsonb_build_object('state', state) as places from checked where state <> 'cancelled'
        union all
        select id, 'was answered by the fallback without an outcome', null::jsonb from checked
        where fits is distinct from true or origin <> 'fallback' or decision_id is not null
    )
"""

LABELS = f"""
    {_STANDING},
    checked as (
        select label.item_id, label.decision_id, standing.id as found
        from labeling_acceptedlabel label
        left join standing on standing.id = label.decision_id and standing.item_id = label.item_id
        where label.item_id >= %(since)s and label.decision_id is not null
    ),
    wrong as (
        select item_id as id, 'counts a decision that was withdrawn or is another item''s' as what, null::jsonb as places
        from checked where found is null
    )
"""

# A second review is an opinion on the first; a blind check that differs waits for whoever settles it, and gives way to them.
# A removal takes the record of a rejected, or of a withdrawn but published, decision out again.
LEDGER = """
    places as (
        select decision_id, dataset_id, removes from labeling_datasetentry where decision_id >= %(since)s
        union all
        select decision_id, dataset_id, removes from labeling_waitingdecision where decision_id >= %(since)s
    ),
    counted as (
        select decision_id, dataset_id, count(*) filter (where not removes) as labels, count(*) filter (where removes) as removals
        from places group by decision_id, dataset_id
    ),
    checked as (
        select decision.id, dataset.slug, coalesce(counted.labels, 0) as labels, coalesce(counted.removals, 0) as removals,
               withdrawal.id is not null as withdrawn,
               decision.output is not null and withdrawal.id is null
               and decision.purpose not in ('sentinel', 'second_review')
               and not (decision.purpose = 'audit' and not decision.agreed and exists (
                   select from labeling_reviewtask settling
                   where settling.item_id = decision.item_id and settling.prediction_id = decision.prediction_id
                     and settling.purpose = 'adjudication' and settling.state <> 'cancelled')) as counts
        from labeling_decision decision
        join labeling_dataset dataset on dataset.project_id = decision.project_id
        left join labeling_withdrawal withdrawal on withdrawal.decision_id = decision.id
        left join counted on counted.decision_id = decision.id and counted.dataset_id = dataset.id
        where decision.id >= %(since)s
    ),
    wrong as (
        select id, 'is {labels} times in or before dataset {slug}' as what,
               jsonb_build_object('labels', labels, 'slug', slug) as places from checked
        where labels <> case when counts then 1 when withdrawn and removals = 1 then labels else 0 end or labels > 1
        union all
        select id, 'is {removals} times a removal in dataset {slug}',
               jsonb_build_object('removals', removals, 'slug', slug) from checked
        where removals > 1 or (counts and removals > 0)
        union all
        select decision_id, 'is in a dataset, but not a decision', null::jsonb from counted
        where not exists (select from labeling_decision where id = counted.decision_id)
    )
"""

FEED_DENSE = """
    checked as (
        select id, project_id, first_number, size, cardinality(entries) as held,
               lag(first_number + size) over (partition by project_id order by first_number, id) as expected
        from labeling_outcomebatch
        where first_number is not null and created_at >= %(since_time)s
    ),
    ends as (select project_id, max(first_number + size) - 1 as last_number from checked group by project_id),
    wrong as (
        select id, 'says {size} outcomes and holds {held}' as what,
               jsonb_build_object('size', size, 'held', held) as places from checked where size <> held
        union all
        select id, 'starts at {first_number} instead of {expected}',
               jsonb_build_object('first_number', first_number, 'expected', coalesce(expected, 1)) from checked
        where first_number <> coalesce(expected, case when %(since)s = 0 then 1 else first_number end)
        union all
        select head.project_id, 'is a feed that ends at {last_number} with outcomes up to {newest}',
               jsonb_build_object('last_number', head.last_number, 'newest', coalesce(ends.last_number, 0))
        from labeling_feedhead head left join ends on ends.project_id = head.project_id
        where head.last_number <> coalesce(ends.last_number, case when %(since)s = 0 then 0 else head.last_number end)
    )
"""

# A transaction may have begun, and dated its batch, some time before it took the ids in it.
FEED_COMPLETE = """
    entries as (
        select batch.of_predictions, entry.id, count(*) as times
        from labeling_outcomebatch batch cross join lateral unnest(batch.entries) as entry (id)
        where batch.created_at >= %(since_time)s - interval '5 minutes' and entry.id >= %(since)s
        group by batch.of_predictions, entry.id
    ),
    outcomes as (
        select true as of_predictions, id from labeling_prediction
        where id >= %(since)s and id = item_id and (route = 'auto' or (route = 'fallback' and final_output is not null))
        union all
        select false, id from labeling_outcome where id >= %(since)s
    ),
    checked as (
        select coalesce(outcomes.id, entries.id) as id, coalesce(entries.times, 0) as times, outcomes.id is not null as real
        from outcomes full join entries on entries.of_predictions = outcomes.of_predictions and entries.id = outcomes.id
    ),
    wrong as (
        select id, 'is {times} times in the feed' as what,
               jsonb_build_object('times', times) as places from checked where real and times <> 1
        union all
        select id, 'is in the feed, but no outcome', null::jsonb from checked where not real
    )
"""

REVISIONS = """
    checked as (
        select outcome.item_id as id, outcome.revision,
               count(*) over (partition by outcome.item_id, outcome.revision) as times, label.revision as newest
        from labeling_outcome outcome left join labeling_acceptedlabel label on label.item_id = outcome.item_id
        where outcome.id >= %(since)s
    ),
    wrong as (
        select distinct id, 'has revision {revision} {times} times' as what,
               jsonb_build_object('revision', revision, 'times', times) as places from checked where times > 1
        union all
        select distinct id, 'has revision {revision} beyond its newest, {newest}',
               jsonb_build_object('revision', revision, 'newest', coalesce(newest, 0)) from checked
        where revision > coalesce(newest, 0)
    )
"""
