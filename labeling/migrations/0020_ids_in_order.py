"""Ids of decisions and outcomes rise in the order in which they are made, whichever connections make them."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("labeling", "0019_review_overflow")]

    operations = [
        migrations.RunSQL("alter sequence labeling_id cache 1", "alter sequence labeling_id cache 32"),
    ]
