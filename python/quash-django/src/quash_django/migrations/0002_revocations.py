import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("quash_django", "0001_accounts")]

    operations = [
        migrations.CreateModel(
            name="QuashOutbox",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("revocation", models.JSONField()),
                ("at_ms", models.BigIntegerField(db_index=True)),
                ("before_ms", models.BigIntegerField(null=True)),
            ],
            options={
                "db_table": "quash_outbox",
                "verbose_name": "waiting revocation",
                "verbose_name_plural": "waiting revocations",
            },
        ),
        migrations.CreateModel(
            name="QuashMark",
            fields=[
                ("subject", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("fingerprint", models.CharField(max_length=64)),
                ("is_active", models.BooleanField()),
            ],
            options={"db_table": "quash_mark", "verbose_name": "mark", "verbose_name_plural": "marks"},
        ),
    ]
