from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("labeling", "0020_ids_in_order")]

    operations = [
        migrations.AddField(
            model_name="reviewqueue",
            name="tested_to",
            field=models.BigIntegerField(
                db_default=0,
                default=0,
                help_text="The newest review that has had its share of test items",
            ),
        ),
        migrations.AddField(
            model_name="reviewqueue",
            name="lease_expiries",
            field=models.BigIntegerField(
                db_default=0, default=0, help_text="How many claims ran out and went back"
            ),
        ),
        migrations.AddField(
            model_name="decision", name="claimed_at", field=models.DateTimeField(null=True)
        ),
        # Test items that are there already had new ids: what came before them has had its share.
        migrations.RunSQL(
            """
            update labeling_reviewqueue queue set tested_to = last.id
            from (select queue_id, max(id) as id from labeling_reviewtask where purpose = 'sentinel' group by queue_id) last
            where last.queue_id = queue.id
            """,
            migrations.RunSQL.noop,
        ),
    ]
