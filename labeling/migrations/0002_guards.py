"""What Django cannot say: rows that refuse change, and how tables with much traffic are kept."""

from django.db import migrations

# Rows of these tables are written once. `truncate` stays possible for test runs and for dropping an instance.
APPEND_ONLY = (
    "datasetentry",
    "datasettagevent",
    "datasetversion",
    "decision",
    "guidelines",
    "historyevent",
    "item",
    "labelschema",
    "outcome",
    "policyversion",
    "prediction",
    "withdrawal",
)

REFUSE = """
create function labeling_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;

create function labeling_refuse_period_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or old.ended_at is not null or new.ended_at is null
       or (to_jsonb(new) - 'ended_at') <> (to_jsonb(old) - 'ended_at') then
        raise exception 'a policy period can only be ended, once' using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;

create function labeling_refuse_renumbering() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or old.first_number is not null
       or (to_jsonb(new) - 'first_number') <> (to_jsonb(old) - 'first_number') then
        raise exception 'an outcome batch can only be numbered, once' using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;

create trigger periods_only_end before update or delete on labeling_policyperiod
    for each row execute function labeling_refuse_period_change();
create trigger batches_only_numbered before update or delete on labeling_outcomebatch
    for each row execute function labeling_refuse_renumbering();
"""
ALLOW = """
drop trigger periods_only_end on labeling_policyperiod;
drop trigger batches_only_numbered on labeling_outcomebatch;
drop function labeling_refuse_renumbering();
drop function labeling_refuse_period_change();
drop function labeling_refuse_change();
"""

# Claims update tasks in place: leave room on each page, and vacuum after 1 % instead of 20 %.
UPKEEP = """
alter table labeling_reviewtask set (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.02);
alter table labeling_outcomebatch set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
alter table labeling_trustdelta set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
alter table labeling_waitingdecision set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
"""


def _guard(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"create trigger append_only before update or delete on labeling_{table} "
        "for each row execute function labeling_refuse_change();",
        f"drop trigger append_only on labeling_{table};",
    )


class Migration(migrations.Migration):
    dependencies = [("labeling", "0001_initial")]

    operations = [
        migrations.RunSQL(REFUSE, ALLOW),
        *[_guard(table) for table in APPEND_ONLY],
        migrations.RunSQL(UPKEEP, migrations.RunSQL.noop),
    ]
