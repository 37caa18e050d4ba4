"""The Django application."""

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured


class QuashConfig(AppConfig):
    """Registers the system checks. Starts nothing: this runs in the master of gunicorn and uWSGI."""

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
