"""A decided task may be held again, to correct it. Safe while traffic runs: see docs/migrations.md."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("labeling", "0009_people_at_work")]

    operations = [
        migrations.AddField(
            model_name="reviewtask",
            name="reopened",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Held to correct a decision, which stands until another one replaces it",
            ),
        ),
        AddConstraintNotValid(
            model_name="reviewtask",
            constraint=models.CheckConstraint(
                condition=Q(reopened=False) | Q(state="claimed"), name="reopened_is_held"
            ),
        ),
    ]
