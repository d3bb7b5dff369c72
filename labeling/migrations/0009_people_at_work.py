import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('labeling', '0008_keep_written_order'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='OwnKeys',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='own_keys', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('moved', models.JSONField(default=dict)),
            ],
            options={
                'verbose_name_plural': 'own keys',
            },
        ),
        migrations.AddField(
            model_name='reviewqueue',
            name='deadline_seconds',
            field=models.PositiveIntegerField(help_text='How long a task may wait here; empty: no deadline', null=True),
        ),
        migrations.CreateModel(
            name='TakenBack',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('token', models.UUIDField(unique=True)),
                ('reason', models.TextField(blank=True)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('holder', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('task', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='taken_back', to='labeling.reviewtask')),
            ],
        ),
        migrations.RunSQL(
            "create trigger append_only before update or delete on labeling_takenback "
            "for each row execute function labeling_refuse_change();",
            "drop trigger append_only on labeling_takenback;",
        ),
    ]
