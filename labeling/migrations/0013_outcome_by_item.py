"""The item page reads the outcomes of one item."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # the index is built beside the traffic

    dependencies = [("labeling", "0012_people")]

    operations = [
        AddIndexConcurrently("outcome", models.Index(fields=["item_id"], name="outcome_by_item")),
    ]
