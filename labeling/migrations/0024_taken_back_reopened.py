from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("labeling", "0023_test_items_and_times")]

    operations = [
        migrations.AddField(
            model_name="takenback",
            name="reopened",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="The claim was for a correction; the decision it was about stands",
            ),
        ),
    ]
