"""Django's hash formats at a cost that lets a test make a thousand of them."""

from django.contrib.auth import hashers


class PBKDF2(hashers.PBKDF2PasswordHasher):
    iterations = 10


class PBKDF2SHA1(hashers.PBKDF2SHA1PasswordHasher):
    iterations = 10


class Argon2(hashers.Argon2PasswordHasher):
    time_cost = 1
    memory_cost = 8
    parallelism = 1


class BCryptSHA256(hashers.BCryptSHA256PasswordHasher):
    rounds = 4


class BCrypt(hashers.BCryptPasswordHasher):
    rounds = 4


class Scrypt(hashers.ScryptPasswordHasher):
    work_factor = 2**4


CHEAP = [f"cheap_hashers.{name}" for name in ("PBKDF2", "PBKDF2SHA1", "Argon2", "BCryptSHA256", "BCrypt", "Scrypt")]
"""The formats that quash supports, for PASSWORD_HASHERS."""

FORMATS = ("pbkdf2_sha256", "pbkdf2_sha1", "argon2", "bcrypt_sha256", "bcrypt", "scrypt")
"""Their names, for make_password."""
