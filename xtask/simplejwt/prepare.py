"""Creates the database and an account; its name and password are the two arguments."""

import sys

import django
from django.core.management import call_command

django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.models import User  # noqa: E402

User.objects.create_user(username=sys.argv[1], password=sys.argv[2])
