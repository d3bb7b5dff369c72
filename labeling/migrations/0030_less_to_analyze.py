from django.db import migrations


class Migration(migrations.Migration):
    """Statistics are gathered as seldom as of other tables, and none of arrays that no statement looks into: at 500 decisions a
    second these two took most of what autovacuum took, all at once.
    """

    dependencies = [("labeling", "0029_shadow_reviews")]

    operations = [
        migrations.RunSQL(
            """
            alter table labeling_reviewtask reset (autovacuum_analyze_scale_factor);
            alter table labeling_outcomebatch alter column entries set statistics 0;
            """,
            """
            alter table labeling_reviewtask set (autovacuum_analyze_scale_factor = 0.02);
            alter table labeling_outcomebatch alter column entries set statistics -1;
            """,
        ),
    ]
