from django.db import migrations, models

WHAT = "What the text is made of (labeling.sentences)"


class Migration(migrations.Migration):
    dependencies = [("labeling", "0026_decisions_checked_once")]

    operations = [
        *(
            migrations.AddField(name, "said", models.JSONField(null=True, editable=False, help_text=WHAT))
            for name in (
                "alert",
                "alertdelivery",
                "publication",
                "ledgerrun",
                "policyperiod",
                "autonomyevent",
            )
        ),
        migrations.AddField(
            "historyevent",
            "said",
            models.JSONField(
                null=True, editable=False, help_text="What its texts are made of (labeling.sentences)"
            ),
        ),
    ]
