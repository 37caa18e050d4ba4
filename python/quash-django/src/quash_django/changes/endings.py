"""Ends sessions, tokens and all sessions of a user."""

import re
import uuid
from typing import Any, TypeGuard, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.http import HttpRequest
from quash_verify import QuashError, Revocation

from ..client import shared_verifier
from ..conf import quash_settings, user_id_field
from . import outbox
from .current_request import has_ended, is_rotating, note_ended

SESSION_KEY = "_quash"
"""The key of Django's session under which ``quash_django.middleware`` keeps the session's id at quash."""

NAME_BYTES = 255
"""The most bytes of a name of a session or a token in a namespace."""


def end_session(request_or_sid: "HttpRequest | str", *, reason: str = "log_out") -> bool:
    """Ends a session, named by its id or by a request in it. Returns whether there was one to end."""
    if isinstance(request_or_sid, str):
        if not _can_exist(request_or_sid):
            return False
        _end("session", request_or_sid, {"session": request_or_sid, "reason": reason})
        return True
    ended = False
    claims = claims_of(_auth_of(request_or_sid))
    if claims is not None:
        ended = end_claims(claims, reason)
    own = (getattr(request_or_sid, "session", None) or {}).get(SESSION_KEY)
    if isinstance(own, dict) and _can_exist(own.get("sid")):
        _end("session", own["sid"], {"session": own["sid"], "reason": reason})
        ended = True
    return ended


def end_user(user: Any, *, reason: str = "revoked") -> None:
    """Ends all sessions of a user. The user may sign in again.

    In the mode ``quash_issues``, ``reason`` is ``"revoked"`` or ``"log_out_everywhere"``.
    """
    if not quash_settings().keeps_issuing and reason not in ("revoked", "log_out_everywhere"):
        raise ValueError("in the mode 'quash_issues', reason must be 'revoked' or 'log_out_everywhere'")
    end_subjects([subject_of(user)], reason)


def end_token(raw: Any, *, reason: str = "log_out") -> bool:
    """Ends one token, and no other of its session. Returns False for a token that has expired already.

    Raises Simple JWT's ``TokenError`` for a token that the site hasn't signed.
    """
    from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken, TokenError
    from rest_framework_simplejwt.settings import api_settings
    from rest_framework_simplejwt.tokens import UntypedToken

    if not quash_settings().keeps_issuing:
        raise ImproperlyConfigured("QUASH['MODE'] is 'quash_issues': end the token's session, with end_session()")
    claims = claims_of(raw)
    if claims is None:
        try:
            claims = UntypedToken(None).get_token_backend().decode(raw, verify=True)
        except TokenBackendExpiredToken:
            return False
        except TokenBackendError as error:
            raise TokenError("Token is invalid") from error
    jti = claims.get(api_settings.JTI_CLAIM)
    if not _can_exist(jti):
        raise TokenError("Token has no id")
    _end("token", jti, _token(jti, claims, reason))
    return True


def end_claims(claims: dict[str, Any], reason: str, *, using: str | None = None) -> bool:
    """Ends the session that a token's claims name, or the token if it was issued without one."""
    found = quash_settings()
    session = claims.get(found.session_claim if found.keeps_issuing else "sid")
    if _can_exist(session):
        _end("session", session, {"session": session, "reason": reason}, using)
        return True
    if not found.keeps_issuing:
        return False
    from rest_framework_simplejwt.settings import api_settings

    jti = claims.get(api_settings.JTI_CLAIM)
    if _can_exist(jti):
        _end("token", jti, _token(jti, claims, reason), using)
        return True
    return False


def end_blacklisted(blacklisted: Any, *, using: str | None = None) -> None:
    """Ends the session of a token that the admin or a view blacklists. A rotation blacklists the old token, too."""
    from rest_framework_simplejwt.exceptions import TokenBackendError
    from rest_framework_simplejwt.state import token_backend

    if is_rotating() or "log_out" not in quash_settings().end_on:
        return
    try:
        # The database's own copy: it may have expired, or the key may have changed.
        claims = token_backend.decode(blacklisted.token.token, verify=False)
    except TokenBackendError:
        claims = {"jti": blacklisted.token.jti, "exp": int(blacklisted.token.expires_at.timestamp())}
    end_claims(claims, "log_out", using=using)


def end_session_at_once(session: str, reason: str) -> None:
    """Ends a session whether or not the caller's transaction commits: a request that is refused is often rolled back."""
    if has_ended("session", session):
        return
    revocation: Revocation = {"session": session, "reason": reason}
    if connections[outbox.database()].in_atomic_block and _sends(revocation):
        note_ended("session", session)
    else:
        _end("session", session, revocation)


def _sends(revocation: Revocation) -> bool:
    """Returns whether quash has confirmed a revocation. If not, the follower's thread has it."""
    found, verifier, key = quash_settings(), shared_verifier.verifier(), str(uuid.uuid4())
    try:
        # Without a head, quash hasn't answered for seconds.
        if verifier.head() is not None:
            receipt = verifier.revoke(found.namespace, [revocation], key=key, wait=found.wait_for_verifiers)
            outbox.catch_up(receipt.seq)
            return True
    except (QuashError, ValueError) as error:
        outbox.logger.error("a session's end waits, because quash hasn't confirmed it: %s", error)
    try:
        verifier.revoke_later(cast(str, found.namespace), [revocation], key)
    except (QuashError, ValueError) as error:
        outbox.logger.error("failed to leave a session's end to the follower: %s", error)
    return False


def end_subjects(subjects: list[str], reason: str, *, using: str | None = None) -> None:
    """Ends all sessions of users, named as in their tokens."""
    outbox.add([{"subject": subject, "reason": reason} for subject in subjects], using=using)


def subject_of(user: Any) -> str:
    """Returns a user's name in tokens.

    Raises ``ImproperlyConfigured`` if the setting doesn't tell it.
    """
    found = quash_settings()
    if found.keeps_issuing or found.user_by == "pk":
        return str(getattr(user, user_id_field()))
    if found.user_by == "subject":
        from ..models import QuashAccount

        account = QuashAccount.objects.filter(user=user).first()
        if account is not None:
            return str(account.subject)
        raise ImproperlyConfigured("the user has no row in the table quash_account: add one with the account's subject")
    raise ImproperlyConfigured(
        "QUASH['USER_BY'] finds the user of a subject, but not the subject of a user: use 'pk' or 'subject'"
    )


def claims_of(token: Any) -> dict[str, Any] | None:
    """Returns the claims of one of Simple JWT's tokens."""
    payload = getattr(token, "payload", None)
    return payload if isinstance(payload, dict) else None


def _can_exist(name: Any) -> TypeGuard[str]:
    """Returns whether a session or a token can have this name at quash. Sites may pass what a client has sent."""
    if not isinstance(name, str) or "\0" in name:
        return False
    if not quash_settings().keeps_issuing:
        return re.fullmatch("[0-9a-f]{32}", name) is not None
    try:
        return 1 <= len(name.encode()) <= NAME_BYTES
    except UnicodeEncodeError:
        return False


def _token(jti: str, claims: dict[str, Any], reason: str) -> Revocation:
    revocation: Revocation = {"token": jti, "reason": reason}
    # A sliding token can be refreshed after it has expired.
    until = [claims[name] for name in ("exp", "refresh_exp") if isinstance(claims.get(name), int)]
    if until:
        revocation["exp"] = max(until)
    return revocation


def _end(kind: str, name: str, revocation: Revocation, using: str | None = None) -> None:
    if has_ended(kind, name):
        return
    outbox.add([revocation], using=using)
    note_ended(kind, name)


def _auth_of(request: Any) -> Any:
    try:
        return getattr(request, "auth", None)
    except Exception:
        # REST framework authenticates when `auth` is read, and a request to log out may carry an invalid token.
        return None


aend_session = sync_to_async(end_session)
aend_user = sync_to_async(end_user)
aend_token = sync_to_async(end_token)
