"""Review tasks name their project and queue without a foreign key: the statement that makes them has found both.

Dropping a constraint or an index takes a lock for a moment; old code does not notice.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("labeling", "0020_ids_in_order")]

    operations = [
        migrations.AlterField(
            model_name="reviewtask",
            name="project",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="tasks",
                to="labeling.project",
            ),
        ),
        migrations.AlterField(
            model_name="reviewtask",
            name="queue",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="tasks",
                to="labeling.reviewqueue",
            ),
        ),
    ]
