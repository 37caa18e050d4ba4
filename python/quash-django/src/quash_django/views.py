"""The page on which users see and end their sessions; ``quash_django.urls`` routes it."""

from typing import Any

from django.contrib.auth import logout
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.generic import TemplateView

from .changes import outbox
from .changes.endings import SESSION_KEY, subject_of
from .client import sessions_api
from .conf import quash_settings

__all__ = ["SessionsView"]


@method_decorator([never_cache, csrf_protect], name="dispatch")
class SessionsView(LoginRequiredMixin, TemplateView):
    """Lists the sessions of the user's account. A post ends one, or all others."""

    template_name = "quash_django/sessions.html"

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        return super().get_context_data(sessions=self._sessions(), **more)

    def post(self, request: HttpRequest) -> HttpResponse:
        sessions = self._sessions()
        if "others" in request.POST:
            ended = [session for session in sessions if not session.is_current]
        else:
            ended = [session for session in sessions if session.sid == request.POST.get("session")]
            if not ended:
                raise Http404("the account has no such session")
        reason = "log_out_everywhere" if "others" in request.POST else "ended"
        outbox.add([{"session": session.sid, "reason": reason} for session in ended])
        if any(session.is_current for session in ended):
            logout(request)
        return redirect(request.path)

    def _sessions(self) -> list[sessions_api.Session]:
        if quash_settings().keeps_issuing:
            raise Http404("QUASH['MODE'] is 'keep_issuing': quash knows no sessions of this site's users")
        own = self.request.session.get(SESSION_KEY) or {}
        return sessions_api.sessions(own.get("sub") or subject_of(self.request.user), own.get("sid"))
