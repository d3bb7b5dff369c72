"""The head of a record is its newest say, also a removal that found nothing."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("labeling", "0006_first_partitions")]

    operations = [
        migrations.RemoveIndex("datasetentry", name="ledger_head"),
        migrations.AddIndex(
            "datasetentry",
            models.Index(
                fields=["dataset", "item_id", "-id"],
                condition=Q(op__in=["a", "c", "r"]) | Q(removes=True),
                include=["decision_id", "op", "split"],
                name="ledger_head",
            ),
        ),
    ]
