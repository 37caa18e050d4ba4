"""The action "End all sessions" for the admin's list of users, and the list of a user's sessions on the user's page.

    class ShopUserAdmin(EndSessionsMixin, UserAdmin): …

The action needs the permission to change users.
"""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from quash_verify import QuashError

from .changes.endings import end_subjects, subject_of
from .client import sessions_api
from .conf import quash_settings
from .models import QuashOutbox

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
    _Outbox = admin.ModelAdmin[QuashOutbox]
else:
    _Admin = object
    _Outbox = admin.ModelAdmin

__all__ = ["EndSessionsMixin", "end_all_sessions"]


@admin.action(description="End all sessions", permissions=["change"])
def end_all_sessions(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> None:
    """Ends all sessions of the selected users."""
    users = list(queryset)
    end_subjects([subject_of(user) for user in users], "revoked")
    for user in users:
        modeladmin.log_change(request, user, "Ended all sessions.")
    messages.success(request, f"Ended the sessions of {len(users)} users.")


class EndSessionsMixin(_Admin):
    """Adds the action and the list to the admin of a user model."""

    # Django 6.1 passes a further argument.
    def get_actions(self, request: HttpRequest, action_location: Any = None) -> Any:
        more = {} if action_location is None else {"action_location": action_location}
        actions: dict[str, Any] = {**super().get_actions(request, **more)}
        if self.has_change_permission(request):
            description = str(getattr(end_all_sessions, "short_description", ""))
            actions["end_all_sessions"] = (end_all_sessions, "end_all_sessions", description)
        return actions

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        own = [] if obj is None else [("Sessions", {"fields": ["quash_sessions"]})]
        return [*super().get_fieldsets(request, obj), *own]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*super().get_readonly_fields(request, obj), "quash_sessions"]

    @admin.display(description="Live sessions")
    def quash_sessions(self, user: Any) -> str:
        """Returns the list, or the reason why there is none."""
        if quash_settings().keeps_issuing:
            return "This site issues its tokens and keeps no list. The action “End all sessions” ends them."
        try:
            sessions = sessions_api.sessions(subject_of(user))
        except (ImproperlyConfigured, QuashError) as error:
            return f"The list isn't available: {error}"
        return render_to_string("quash_django/session_table.html", {"sessions": sessions})


@admin.register(QuashOutbox)
class QuashOutboxAdmin(_Outbox):
    """Shows the revocations and changes that wait. They can't be changed here."""

    list_display = ["id", "message", "at_ms", "refusal"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
