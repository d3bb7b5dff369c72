"""What a key may do a second."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("labeling", "0021_tasks_checked_once")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="requests_per_second",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Empty: no limit",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="rows_per_second",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Of predictions; empty: no limit",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
    ]
