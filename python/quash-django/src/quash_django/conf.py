"""The setting ``QUASH``: reads it and reports each mistake with its remedy.

Also tells which of ``AUTHENTICATION_BACKENDS`` signs users in at quash.
"""

import difflib
import ipaddress
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.contrib.auth import load_backend
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string
from quash_verify import WhenStale

Mode = Literal["keep_issuing", "quash_issues"]

EVENTS = ("log_out", "password", "deactivation", "deletion", "lock_out")
"""The events that can end sessions."""

LONGEST = 1_000_000_000
"""The longest time, in seconds, that the native verifier accepts."""


@dataclass(frozen=True)
class QuashSettings:
    """The values of ``QUASH``, each under its name in lower case."""

    issuer: str
    also_at: tuple[str, ...] = ()
    credential: str | None = field(default=None, repr=False)
    credential_file: str | None = None
    namespace: str | None = None
    mode: Mode = "keep_issuing"
    when_stale: WhenStale = "introspect"
    start_within: float = 10.0
    wait_for_verifiers: bool = False
    audience: tuple[str, ...] = ()
    insecure_http: bool = False
    end_on: frozenset[str] = frozenset(EVENTS)
    session_claim: str = "qsid"
    position_claim: str = "qsq"
    hook_simple_jwt: bool = True
    # None: in keep_issuing mode, Simple JWT's own.
    secrets: tuple[str | bytes, ...] | None = field(default=None, repr=False)
    user_by: str = "pk"
    claims: str | None = None
    token_path: str = "/api/token/"
    email_verified: str | None = None
    push_users: bool = True

    @property
    def keeps_issuing(self) -> bool:
        """Whether the site issues its own tokens."""
        return self.mode == "keep_issuing"

    @property
    def pushes_users(self) -> bool:
        """Whether changes of users are sent to quash."""
        return not self.keeps_issuing and self.push_users and "." not in self.user_by


class Problem(NamedTuple):
    """A mistake in the settings."""

    id: str
    message: str
    remedy: str


def quash_settings() -> QuashSettings:
    """Returns the site's settings.

    Raises ``ImproperlyConfigured``, with every mistake, if they can't work.
    """
    # Threads that read the settings at the same time read the same.
    if "settings" not in _read:
        found, problems = read(getattr(settings, "QUASH", None))
        if found is None:
            raise ImproperlyConfigured("; ".join(f"{problem.message}: {problem.remedy}" for problem in problems))
        _read["settings"] = found
    return _read["settings"]


def read(given: object) -> tuple[QuashSettings | None, list[Problem]]:
    """Reads a value of ``QUASH``. Returns no settings if there is any mistake."""
    if not isinstance(given, Mapping):
        problem = Problem(
            "quash.E001",
            "QUASH is missing" if given is None else f"QUASH is of type {type(given).__name__}",
            "set QUASH to a dict with at least ISSUER, CREDENTIAL_FILE and NAMESPACE",
        )
        return None, [problem]
    problems = [_unknown(name) for name in given if name not in _READERS]
    values: dict[str, Any] = {}
    for name, reader in _READERS.items():
        if name not in given:
            continue
        try:
            values[name.lower()] = reader(given[name])
        except ValueError as error:
            # Never the value: it may be a credential.
            what = "is None" if given[name] is None else "can't be used"
            problems.append(Problem("quash.E003", f"QUASH[{name!r}] {what}", str(error)))
    if "ISSUER" not in given:
        remedy = "set it to the issuer's address, such as https://id.example.org"
        problems.append(Problem("quash.E002", "QUASH['ISSUER'] is missing", remedy))
    if problems:
        return None, problems
    found = QuashSettings(**values)
    problems = _conflicts(found)
    return (None if problems else found), problems


def credential_fault(found: QuashSettings) -> tuple[str, str] | None:
    """Returns why the credential's file can't be used, if it can't, and the remedy."""
    variable = None if found.credential or found.credential_file else os.environ.get("QUASH_CREDENTIAL_FILE")
    path = found.credential_file or (None if os.environ.get("QUASH_CREDENTIAL") else variable)
    if path is None:
        return None
    name = "QUASH['CREDENTIAL_FILE']" if found.credential_file else "$QUASH_CREDENTIAL_FILE"
    remedy = f"write the line that `{command(found)}` prints into it, and let this process read it"
    try:
        return None if _line(path) else (f"{name} is empty: {path}", remedy)
    except (OSError, UnicodeDecodeError) as error:
        return f"{name} can't be read: {error}", remedy


def credential(found: QuashSettings) -> str | None:
    """Returns the credential that the settings name; None where the environment has it."""
    if found.credential_file is None:
        return found.credential
    try:
        return _line(found.credential_file)
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(
            f"QUASH['CREDENTIAL_FILE'] can't be read ({error}): name a text file that this process may read"
        ) from error


def _line(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def command(found: QuashSettings, *, imports: bool = False) -> str:
    """Returns quash's command that creates a credential with all rights that the settings, or an import, need."""
    if found.keeps_issuing and not imports:
        return f"quash client add NAME --namespace {found.namespace or 'NAMESPACE'}"
    rights = ["revoke"] if found.keeps_issuing or ends_sessions(found) else []
    rights += ["accounts"] if found.pushes_users or imports else []
    if not rights:
        return "quash verifier add NAME"
    return "quash client add NAME " + " ".join(f"--right {right}" for right in ("feed", "introspect", *rights))


def ends_sessions(found: QuashSettings) -> bool:
    """Returns whether a site of the mode ``quash_issues`` ends sessions itself: at a log-out or a lock-out here."""
    if not apps.ready:
        return False
    locks = apps.is_installed("axes") or apps.is_installed("defender")
    return locks and "lock_out" in found.end_on or sign_in_backend() is not None


class SignsInAtQuash:
    """The base of the authentication backends that sign users in at quash."""


def signs_in_at_quash(path: object) -> bool:
    """Returns whether a backend's dotted path names one that does."""
    return isinstance(path, str) and isinstance(load_backend(path), SignsInAtQuash)


def sign_in_backend() -> str | None:
    """Returns the first of ``AUTHENTICATION_BACKENDS`` that signs users in at quash."""
    for path in settings.AUTHENTICATION_BACKENDS:
        try:
            if signs_in_at_quash(path):
                return path
        except ImportError:
            # Django reports it at the first log-in.
            continue
    return None


def user_id_field() -> str:
    """Returns the field of the user model that tokens name."""
    try:
        from rest_framework_simplejwt.settings import api_settings
    except ImportError:
        return "pk"
    return str(api_settings.USER_ID_FIELD)


def _conflicts(found: QuashSettings) -> list[Problem]:
    problems = []
    if found.credential is not None and found.credential_file is not None:
        both = "QUASH has both CREDENTIAL and CREDENTIAL_FILE"
        problems.append(Problem("quash.E004", both, "remove one of them, preferably CREDENTIAL"))
    named = found.credential or found.credential_file
    if not named and not os.environ.get("QUASH_CREDENTIAL") and not os.environ.get("QUASH_CREDENTIAL_FILE"):
        problems.append(
            Problem(
                "quash.E005",
                "the credential is missing",
                "set QUASH['CREDENTIAL_FILE'] or $QUASH_CREDENTIAL_FILE to a file with the line that "
                f"`{command(found)}` prints",
            )
        )
    if found.keeps_issuing and found.namespace is None:
        remedy = "name the section [foreign.<name>] of quash.toml that stands for this site"
        problems.append(Problem("quash.E006", "QUASH['NAMESPACE'] is missing", remedy))
    if not found.keeps_issuing and found.namespace is not None:
        unused = "QUASH['NAMESPACE'] has no effect in the mode 'quash_issues'"
        problems.append(Problem("quash.E006", unused, "remove it, or set MODE to 'keep_issuing'"))
    plain = [url for url in (found.issuer, *found.also_at) if urlsplit(url).scheme == "http" and not _is_local(url)]
    if plain and not found.insecure_http:
        unsafe = f"the address {plain[0]} isn't encrypted"
        remedy = "use https, or set QUASH['INSECURE_HTTP'] to True in a private network"
        problems.append(Problem("quash.E007", unsafe, remedy))
    if found.session_claim == found.position_claim:
        same = "QUASH['SESSION_CLAIM'] and QUASH['POSITION_CLAIM'] are the same"
        problems.append(Problem("quash.E008", same, "give each a name of its own"))
    return problems


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        # A name, which may begin with the digits of an address.
        return False


def _unknown(name: object) -> Problem:
    near = difflib.get_close_matches(str(name).upper(), _READERS, 1)
    remedy = f"did you mean {near[0]}?" if near else f"use one of {', '.join(_READERS)}"
    return Problem("quash.E009", f"QUASH[{name!r}] isn't a setting", remedy)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("use a text that isn't empty")
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _path(value: object) -> str | None:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is not None and (not isinstance(value, str) or not value):
        raise ValueError("use the path of a file")
    return value


def _address(value: object) -> str:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        if parts and parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1):
            assert isinstance(value, str)
            # The native verifier accepts no others.
            if "@" not in parts.netloc and not parts.query and not parts.fragment:
                return value
    except ValueError:
        pass
    raise ValueError("use an address of the form https://host[:port][/path]")


def _several(reader: Callable[[object], Any], what: str) -> Callable[[object], tuple[Any, ...]]:
    def read_all(value: object) -> tuple[Any, ...]:
        if isinstance(value, str | bytes) or not isinstance(value, Sequence | set | frozenset):
            raise ValueError(f"use a list of {what}")
        return tuple(reader(item) for item in value)

    return read_all


def _secret(value: object) -> str | bytes:
    if not isinstance(value, str | bytes) or not value:
        raise ValueError("use texts or bytes that aren't empty")
    return value


def _choice(*choices: str) -> Callable[[object], str]:
    def read_one(value: object) -> str:
        if value in choices:
            return str(value)
        near = difflib.get_close_matches(str(value), choices, 1)
        raise ValueError(f"did you mean {near[0]!r}?" if near else f"use {' or '.join(map(repr, choices))}")

    return read_one


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("use True or False")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or not _is_number(value) or not 0 < value <= 3600:
        raise ValueError("use seconds, more than 0 and at most 3600")
    return float(value)


def when_stale(value: object) -> WhenStale:
    """Reads a value of ``WHEN_STALE``."""
    if value == "introspect" or value == "deny" or value == "allow":
        return value
    if isinstance(value, tuple | list) and len(value) == 2 and value[0] == "allow_young":
        if not _is_number(value[1]) or not 0 <= value[1] <= LONGEST:
            raise ValueError(f"use ('allow_young', seconds) with 0 to {LONGEST} seconds")
        return ("allow_young", float(value[1]))
    raise ValueError("use 'introspect', 'deny', 'allow' or ('allow_young', seconds)")


def _claim(value: object) -> str:
    name = _text(value)
    if name in ("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "user_id", "token_type", "sid", "rsq", "gen"):
        raise ValueError(f"use another name: {name!r} has a meaning of its own in tokens")
    return name


def _url_path(value: object) -> str:
    path = _text(value)
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]*", path):
        raise ValueError("use the path at which quash signs users in, such as '/api/token/'")
    return path


def _user_by(value: object) -> str:
    name = _text(value)
    if name not in ("pk", "subject"):
        _import(name)
    return name


def _dotted(value: object) -> str | None:
    if value is not None:
        _import(_text(value))
    return _optional_text(value)


def _field_or_dotted(value: object) -> str | None:
    return _dotted(value) if isinstance(value, str) and "." in value else _optional_text(value)


def _import(name: str) -> None:
    if "." not in name or not all(part.isidentifier() for part in name.split(".")):
        raise ValueError("use the dotted path of a function, such as 'shop.users.find'")


_READERS: dict[str, Callable[[object], Any]] = {
    "ISSUER": _address,
    "ALSO_AT": _several(_address, "addresses"),
    "CREDENTIAL": _optional_text,
    "CREDENTIAL_FILE": _path,
    "NAMESPACE": _optional_text,
    "MODE": _choice("keep_issuing", "quash_issues"),
    "WHEN_STALE": when_stale,
    "START_WITHIN": _seconds,
    "WAIT_FOR_VERIFIERS": _yes_or_no,
    "AUDIENCE": _several(_text, "texts"),
    "INSECURE_HTTP": _yes_or_no,
    "END_ON": lambda value: frozenset(_several(_choice(*EVENTS), f"events: {', '.join(EVENTS)}")(value)),
    "SESSION_CLAIM": _claim,
    "POSITION_CLAIM": _claim,
    "HOOK_SIMPLE_JWT": _yes_or_no,
    "SECRETS": _several(_secret, "texts or bytes"),
    "USER_BY": _user_by,
    "CLAIMS": _dotted,
    "TOKEN_PATH": _url_path,
    "EMAIL_VERIFIED": _field_or_dotted,
    "PUSH_USERS": _yes_or_no,
}
assert [name.lower() for name in _READERS] == [item.name for item in fields(QuashSettings)]

_read: dict[str, QuashSettings] = {}


def imported(name: str) -> Callable[..., Any]:
    """Returns the function that a setting names. Raises ``ImportError`` if it names none."""
    try:
        found: Any = import_string(name)
    except ImportError:
        raise
    except Exception as error:
        # The site's own module, which may fail in any way.
        raise ImportError(f"{error!r} in {name!r}") from error
    if isinstance(found, type) or not callable(found):
        kind = "a class" if isinstance(found, type) else f"of type {type(found).__name__}"
        raise ImportError(f"{name!r} is {kind}, not a function")
    return cast("Callable[..., Any]", found)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "QUASH":
        _read.clear()


setting_changed.connect(_forget, dispatch_uid="quash_django.conf")
