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
    """A drawn part of what the fallback answers by itself is labelled by people, from an hour from now on: processes of the
    release before know neither such tasks nor their counts.
    """

    dependencies = [("labeling", "0028_truths")]

    operations = [
        *(
            migrations.AddField(
                model_name=table, name=counter, field=models.BigIntegerField(db_default=0, default=0)
            )
            for table in TABLES
            for counter in ("shadow_of", "shadow_due", "shadow_served_err", "shadow_rejected")
        ),
        migrations.AddField(
            model_name="project",
            name="shadows_from",
            field=models.BigIntegerField(
                db_default=0,
                default=0,
                help_text="From this prediction on, a part of what the fallback answers by itself is drawn for people",
            ),
        ),
        migrations.RunSQL(
            """
            update labeling_project
            set shadows_from = (extract(epoch from clock_timestamp() - timestamptz '2025-01-01 00:00+00')::bigint + 3600) << 20
            """,
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(
            model_name="reviewtask", name="purpose", field=models.CharField(choices=PURPOSES, max_length=20)
        ),
    ]
