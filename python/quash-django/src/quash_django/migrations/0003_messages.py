from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("quash_django", "0002_revocations")]

    operations = [
        migrations.RenameField("quashoutbox", "revocation", "message"),
        migrations.AlterModelOptions(
            "quashoutbox", {"verbose_name": "waiting message", "verbose_name_plural": "waiting messages"}
        ),
    ]
