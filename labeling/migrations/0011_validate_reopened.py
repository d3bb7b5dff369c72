"""Checks the rows that were there before the constraint, in a transaction of its own that stops no writer."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("labeling", "0010_tasks_reopened")]

    operations = [ValidateConstraint(model_name="reviewtask", name="reopened_is_held")]
