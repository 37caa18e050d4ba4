from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("quash_django", "0003_messages")]

    operations = [
        migrations.AddField("quashoutbox", "refusal", models.TextField(blank=True, default="", db_default="")),
    ]
