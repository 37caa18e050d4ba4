"""The Django application."""

import importlib.util
from collections.abc import Mapping

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class QuashConfig(AppConfig):
    """Guards the site. Starts nothing: this runs in the master of gunicorn and uWSGI."""

    name = "quash_django"
    verbose_name = "quash"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        try:
            import quash_verify  # noqa: F401
        except ImportError as error:
            if "subinterpreter" in str(error):
                raise ImproperlyConfigured(
                    "mod_wsgi runs this site in a sub-interpreter, which can't load quash-verify: set "
                    "`WSGIApplicationGroup %{GLOBAL}` in Apache's configuration (quash.W005)"
                ) from error
            raise
        from . import checks

        checks.install()
        # With settings that can't be read the hooks are installed, too: they stop the first request. Without them the
        # site would accept ended sessions.
        given = getattr(settings, "QUASH", None)
        given = given if isinstance(given, Mapping) else {}
        if given.get("MODE") != "quash_issues":
            guard_keep_issuing(hook=given.get("HOOK_SIMPLE_JWT") is not False)
        else:
            from .authentication import opened_sessions
            from .changes import current_request, pushes, receivers

            current_request.connect()
            opened_sessions.connect()
            pushes.connect()
            receivers.connect_locks()
        if apps.is_installed("drf_spectacular") and importlib.util.find_spec("rest_framework_simplejwt"):
            from .authentication import spectacular  # noqa: F401


def guard_keep_issuing(*, hook: bool) -> None:
    """Connects the events that end sessions and, with ``hook``, guards Simple JWT's own classes."""
    from .changes import current_request, receivers

    current_request.connect()
    receivers.connect()
    if hook and importlib.util.find_spec("rest_framework_simplejwt"):
        from . import simplejwt

        simplejwt.install()


def unguard() -> None:
    """Undoes ``guard_keep_issuing``, for tests."""
    from . import simplejwt
    from .changes import current_request, receivers

    current_request.disconnect()
    receivers.disconnect()
    simplejwt.uninstall()
