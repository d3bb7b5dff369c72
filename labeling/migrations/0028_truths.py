from django.db import migrations, models

KINDS = [
    ("segment", "Segment"),
    ("segment_none", "Segment None"),
    ("segment_other", "Segment Other"),
    ("label", "Label"),
    ("label_none", "Label None"),
    ("label_other", "Label Other"),
    ("truth", "Truth"),
    ("truth_other", "Truth Other"),
]


class Migration(migrations.Migration):
    """Answers are counted by true label from an hour from now on: processes of the release before write without it.

    Answers about earlier predictions stay out of these counts until `rebuild_rollups` has counted everything again.
    """

    dependencies = [("labeling", "0027_sentences_in_rows")]

    operations = [
        migrations.AddField(
            model_name="project",
            name="truths_from",
            field=models.BigIntegerField(
                db_default=0,
                default=0,
                help_text="From this prediction on, answers are also counted by the label that people gave",
            ),
        ),
        migrations.AlterField(
            model_name="slicevalue",
            name="kind",
            field=models.CharField(choices=KINDS, max_length=20),
        ),
        migrations.AlterField(
            model_name="trustslice",
            name="kind",
            field=models.CharField(choices=KINDS, max_length=20),
        ),
        migrations.RunSQL(
            """
            update labeling_project
            set truths_from = (extract(epoch from clock_timestamp() - timestamptz '2025-01-01 00:00+00')::bigint + 3600) << 20
            """,
            migrations.RunSQL.noop,
        ),
    ]
