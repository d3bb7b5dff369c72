"""What a ledger check of a short time finds its rows by. BRIN: both tables grow in the order of these columns."""

from django.contrib.postgres.indexes import BrinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("labeling", "0015_alerts_and_ledger_runs")]

    operations = [
        AddIndexConcurrently(
            "itemkey", BrinIndex(fields=["item_id"], name="itemkey_by_time", pages_per_range=32, autosummarize=True)
        ),
        AddIndexConcurrently(
            "outcomebatch",
            BrinIndex(fields=["created_at"], name="outcomes_by_time", pages_per_range=32, autosummarize=True),
        ),
    ]
