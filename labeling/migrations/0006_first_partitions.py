"""The partitions of this week and the next ones, so that a fresh database takes rows at once; upkeep makes the later ones."""

from datetime import UTC, datetime, timedelta

from django.db import migrations

ID_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def make_partitions(apps, schema_editor):
    this_week = (datetime.now(UTC) - ID_EPOCH) // WEEK
    for table in ("labeling_item", "labeling_prediction"):
        for week in range(this_week - 1, this_week + 5):
            low, high = (int((WEEK * bound).total_seconds()) << 20 for bound in (week, week + 1))
            schema_editor.execute(
                f"create table if not exists {table}_w{week} partition of {table} for values from ({low}) to ({high})"
            )


class Migration(migrations.Migration):
    dependencies = [("labeling", "0005_item_input_may_go")]

    operations = [migrations.RunPython(make_partitions, migrations.RunPython.noop)]
