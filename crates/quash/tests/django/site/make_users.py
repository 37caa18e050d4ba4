# Makes 1,000 users with each of Django's hash formats, at low costs, and prints what quash should make of them.
import json
from datetime import datetime, timezone

from django.contrib.auth import hashers
from django.contrib.auth.models import Group, Permission, User
from rest_framework_simplejwt.tokens import RefreshToken


class Argon2(hashers.Argon2PasswordHasher):
    time_cost, memory_cost, parallelism = 1, 64, 1


BCRYPT_SALT = b"$2b$04$abcdefghijklmnopqrstuu"
FORMATS = [
    ("pbkdf2_sha256", lambda word, salt: hashers.PBKDF2PasswordHasher().encode(word, salt, 1000)),
    ("pbkdf2_sha1", lambda word, salt: hashers.PBKDF2SHA1PasswordHasher().encode(word, salt, 1000)),
    ("argon2", lambda word, salt: Argon2().encode(word, salt)),
    ("bcrypt_sha256", lambda word, salt: hashers.BCryptSHA256PasswordHasher().encode(word, BCRYPT_SALT)),
    ("bcrypt", lambda word, salt: hashers.BCryptPasswordHasher().encode(word, BCRYPT_SALT)),
    ("scrypt", lambda word, salt: hashers.ScryptPasswordHasher().encode(word, salt, 16, 8, 1)),
    ("md5", lambda word, salt: hashers.MD5PasswordHasher().encode(word, salt)),
    ("unusable", lambda word, salt: "!" + salt),
    ("empty", lambda word, salt: ""),
]

groups = [Group.objects.create(name=name) for name in ("Editors", "Zoë's", "Clerks")]
permissions = list(Permission.objects.order_by("content_type__app_label", "codename")[:4])
groups[0].permissions.set(permissions[:2])

users = []
for n in range(1000):
    form, encode = FORMATS[n % len(FORMATS)]
    users.append(
        User(
            username=f"user{n}",
            email="" if n % 5 == 0 else f" User{n}@Example.org ",
            password=encode(f"password of {n}", f"saltsalt{n:08}"),
            is_staff=n % 7 == 0,
            is_superuser=n % 50 == 0,
            is_active=n % 11 != 0,
            last_login=datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc) if n % 2 else None,
        )
    )
User.objects.bulk_create(users)
users = list(User.objects.exclude(username="dana").order_by("pk"))
Membership, Right = User.groups.through, User.user_permissions.through
Membership.objects.bulk_create(
    Membership(user=user, group=group) for n, user in enumerate(users) for group in groups[: n % 4]
)
Right.objects.bulk_create(Right(user=user, permission=permissions[n % 3]) for n, user in enumerate(users))
# Two names that differ in case, a name that is a number, and an address that two have.
User.objects.create(username="USER7", password="!", email="user8@example.org")
User.objects.create(username="12345", password="!")

for user in users[:3]:
    RefreshToken.for_user(user).blacklist()

expected = []
related = ("groups__permissions__content_type", "user_permissions__content_type")
for n, user in enumerate(User.objects.filter(pk__in=[user.pk for user in users]).order_by("pk").prefetch_related(*related)):
    rights = {f"{p.content_type.app_label}.{p.codename}" for p in user.user_permissions.all()}
    for group in user.groups.all():
        rights |= {f"{p.content_type.app_label}.{p.codename}" for p in group.permissions.all()}
    expected.append(
        {
            "subject": str(user.pk),
            "name": user.username,
            "password": f"password of {n}",
            "format": FORMATS[n % len(FORMATS)][0],
            "active": user.is_active,
            "email": None if n % 5 == 0 or n == 8 else f"User{n}@Example.org",
            "claims": {
                "staff": user.is_staff,
                "admin": user.is_superuser,
                "groups": sorted(group.name for group in user.groups.all()),
                "rights": sorted(rights),
            },
        }
    )
print(json.dumps(expected))
