from django.db import migrations

import labeling.json_text


class Migration(migrations.Migration):
    dependencies = [("labeling", "0007_ledger_head")]

    operations = [
        migrations.AlterField(
            model_name="labelschema",
            name="body",
            field=labeling.json_text.JsonText(help_text="In the order it was given: fields are shown in it"),
        ),
        migrations.AlterField(
            model_name="policyversion",
            name="body",
            field=labeling.json_text.JsonText(),
        ),
    ]
