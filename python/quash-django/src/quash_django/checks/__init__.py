"""The system checks. Each names the setting and the remedy."""

from django.core import checks

from .settings import check_database, check_installation, check_settings
from .views import check_replaced_views, check_transactions, check_views


def install() -> None:
    """Registers the checks."""
    checks.register(check_settings, "quash")
    checks.register(check_installation, "quash")
    checks.register(check_database, "quash")
    checks.register(check_views, "quash")
    checks.register(check_replaced_views, "quash")
    checks.register(check_transactions, "quash")
