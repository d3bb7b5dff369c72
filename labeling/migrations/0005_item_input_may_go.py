from django.db import migrations

import labeling.ingestion.models


class Migration(migrations.Migration):
    dependencies = [("labeling", "0004_publications")]

    operations = [
        migrations.AlterField(
            model_name="item",
            name="input",
            field=labeling.ingestion.models.JsonText(help_text="Empty when retention has dropped it", null=True),
        ),
    ]
