"""The views of a site whose users sign in at quash, with Django's own forms and sessions."""

from django.contrib import admin
from django.contrib.auth import authenticate, login
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.authentication import BasicAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from quash_django.admin import EndSessionsMixin


class SiteUserAdmin(EndSessionsMixin, UserAdmin):  # type: ignore[type-arg]
    pass


admin.site.unregister(User)
admin.site.register(User, SiteUserAdmin)


class Basic(APIView):
    authentication_classes = [BasicAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.get_username()})


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username() or "nobody")


def first_factor(request: HttpRequest) -> HttpResponse:
    """Checks the password. The next request signs in."""
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    request.session["passed"] = user and user.pk
    return HttpResponse("passed" if user else "wrong")


def second_factor(request: HttpRequest) -> HttpResponse:
    user = User.objects.get(pk=request.session["passed"])
    login(request, user, backend="quash_django.backends.QuashBackend")
    return HttpResponse("in")


def without_password(request: HttpRequest) -> HttpResponse:
    login(request, User.objects.get(username="dana"), backend=request.GET["backend"])
    return HttpResponse("in")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("who/", who),
    path("log-in/", LoginView.as_view(next_page="/who/", template_name="admin/login.html")),
    path("log-out/", LogoutView.as_view()),
    path("first-factor/", first_factor),
    path("second-factor/", second_factor),
    path("without-password/", without_password),
    path("basic/", Basic.as_view()),
    path("sessions/", include("quash_django.urls")),
]
