# Writes each user as a line for `quash account add --batch-stdin`, as a site without quash-django may do.
import json
import sys
from collections import Counter

from django.contrib.auth import get_user_model

User = get_user_model()
users = User._default_manager.order_by("pk")
shared = Counter(user.email.lower() for user in users)
for user in users:
    account = {
        "name": user.get_username(),
        "subject": str(user.pk),
        "email": "" if shared[user.email.lower()] > 1 else user.email,
        "verified": True,
        "password_hash": user.password,
        "deactivated": not user.is_active,
    }
    json.dump(account, sys.stdout)
    print()
