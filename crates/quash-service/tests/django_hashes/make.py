"""Makes hashes.json: hashes made by Django, and its verdicts on other passwords.

    python3 -m venv /tmp/django && /tmp/django/bin/pip install "django==5.2.19" "argon2-cffi==25.1.0" "bcrypt==4.3.0"
    /tmp/django/bin/python make.py > hashes.json

bcrypt 4 for Python, because 3 fails at a NUL and 5 at a password of more than 72 bytes.
"""

import json
from importlib.metadata import version

import argon2
import django
from django.conf import settings

HASHERS = "django.contrib.auth.hashers."
NAMES = ["PBKDF2", "PBKDF2SHA1", "Argon2", "BCryptSHA256", "BCrypt", "Scrypt"]
settings.configure(PASSWORD_HASHERS=[f"{HASHERS}{name}PasswordHasher" for name in NAMES])
django.setup()

from django.contrib.auth import hashers  # noqa: E402

PASSWORDS = [
    "correct horse battery staple",
    "correct horse battery staplf",
    "",
    " ",
    "  blanks around ",
    "blanks around",
    "pässwörd ☃ 日本",
    "pa\u0308sswo\u0308rd ☃ 日本",
    "nul",
    "nul\0",
    "nul\0within",
    "\0",
    "x" * 64,
    "x" * 65,
    "x" * 71,
    "x" * 72,
    "x" * 73,
    "é" * 36,
    "é" * 36 + "!",
    "y" * 100,
    "y" * 99 + "z",
]
HASHED = ["correct horse battery staple", "", "  blanks around ", "pässwörd ☃ 日本", "nul", "nul\0within", "x" * 72, "x" * 73, "y" * 100]


def quick(hasher, **cost):
    """A hasher with a lower cost than Django's."""
    return type(hasher.__name__, (hasher,), cost)()


def argon2_written_otherwise(password, kind, number):
    """As Django 1.10 to 3.1 wrote it (Argon2i), and as older and other libraries do."""
    made = argon2.low_level.hash_secret(
        password.encode(), b"a salt of 22 letters..", time_cost=1, memory_cost=64, parallelism=8, hash_len=16, type=kind, version=number
    )
    return "argon2" + made.decode()


def rows():
    bcrypt_salt = b"$2b$04$abcdefghijklmnopqrstuu"
    for password in HASHED:
        for hasher, salt in [
            (quick(hashers.PBKDF2PasswordHasher, iterations=10), None),
            (quick(hashers.PBKDF2SHA1PasswordHasher, iterations=10), None),
            (quick(hashers.Argon2PasswordHasher, memory_cost=64, time_cost=1), None),
            (quick(hashers.BCryptSHA256PasswordHasher, rounds=4), None),
            (quick(hashers.BCryptPasswordHasher, rounds=4), None),
            (quick(hashers.ScryptPasswordHasher, work_factor=16), None),
        ]:
            yield password, hasher.encode(password, salt or hasher.salt())
    password = HASHED[0]
    for kind in argon2.Type:
        for number in 16, 19:
            yield password, argon2_written_otherwise(password, kind, number)
    without_version = argon2_written_otherwise(password, argon2.Type.I, 16).replace("$v=16", "")
    yield password, without_version
    for prefix in "2a", "2y":
        salt = bcrypt_salt.replace(b"2b", prefix.encode())
        yield password, quick(hashers.BCryptPasswordHasher).encode(password, salt)
    yield password, quick(hashers.ScryptPasswordHasher, work_factor=16, parallelism=1).encode(password, "seasalt")


def matches(encoded):
    return [password for password in PASSWORDS if hashers.check_password(password, encoded)]


def main():
    made = [{"hash": encoded, "of": password, "matches": matches(encoded)} for password, encoded in rows()]
    assert all(row["of"] in row["matches"] for row in made)
    at_full_cost = [hashers.make_password(PASSWORDS[0], hasher=hasher) for hasher in hashers.get_hashers()]
    packages = ["django", "argon2-cffi", "bcrypt"]
    document = {
        "made_by": {name: version(name) for name in packages},
        "passwords": PASSWORDS,
        "hashes": made,
        "at_full_cost": [{"hash": encoded, "of": PASSWORDS[0]} for encoded in at_full_cost],
        "unusable": hashers.make_password(None),
    }
    print("{" + ",\n".join(f"{json.dumps(name)}: {listed(value)}" for name, value in document.items()) + "}")


def listed(value):
    """A list with one line for each of its members; anything else on one line."""
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(f"  {json.dumps(member)}" for member in value) + "\n]"


main()
