from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("labeling", "0024_taken_back_reopened")]

    operations = [
        migrations.AlterModelOptions(
            name="alertdelivery", options={"verbose_name_plural": "alert deliveries"}
        ),
    ]
