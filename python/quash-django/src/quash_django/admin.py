"""The action "End all sessions" for the admin's list of users.

    class ShopUserAdmin(EndSessionsMixin, UserAdmin): …

It needs the permission to change users.
"""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from .conf import quash_settings
from .endings import end_subjects, subject_of
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
    """Adds the action to the admin of a user model."""

    # Django 6.1 passes a further argument.
    def get_actions(self, request: HttpRequest, action_location: Any = None) -> Any:
        more = {} if action_location is None else {"action_location": action_location}
        actions: dict[str, Any] = {**super().get_actions(request, **more)}
        if quash_settings().keeps_issuing and self.has_change_permission(request):
            description = str(getattr(end_all_sessions, "short_description", ""))
            actions["end_all_sessions"] = (end_all_sessions, "end_all_sessions", description)
        return actions


@admin.register(QuashOutbox)
class QuashOutboxAdmin(_Outbox):
    """Shows the revocations that wait. They can't be changed here."""

    list_display = ["id", "revocation", "at_ms"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
