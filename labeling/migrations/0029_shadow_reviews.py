from django.db import migrations, models

TABLES = ("trusthour", "trustday", "trustcell", "trustweek", "trustslice")
PURPOSES = [
    ("review", "Review"),
    ("audit", "Audit"),
    ("fallback", "Fallback"),
    ("shadow", "Shadow Review"),
    ("second_review", "Second Review"),
    ("adjudication", "Adjudication"),
    ("sentinel", "Sentinel"),
]


class Migration(migrations.Migration):
    """A drawn part of what the fallback answers by itself is labelled by people; earlier predictions had no such draw."""

    dependencies = [("labeling", "0028_truths")]

    operations = [
        *(
            migrations.AddField(
                model_name=table, name=counter, field=models.BigIntegerField(db_default=0, default=0)
            )
            for table in TABLES
            for counter in ("shadow_due", "shadow_served_err")
        ),
        migrations.AlterField(
            model_name="reviewtask", name="purpose", field=models.CharField(choices=PURPOSES, max_length=20)
        ),
    ]
