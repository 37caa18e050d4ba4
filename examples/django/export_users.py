# python manage.py shell -v 0 < export_users.py | quash account add --batch-stdin
import json

from accounts.models import User

for user in User.objects.order_by("pk"):
    account = {
        "name": user.email,
        "subject": str(user.pk),
        "email": user.email,
        "verified": user.is_verified,
        "password_hash": user.password,
        "deactivated": not user.is_active,
    }
    print(json.dumps(account))

