"""The views of a site that keeps issuing its tokens."""

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.contrib.auth import login, logout
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication, JWTStatelessUserAuthentication
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken
from rest_framework_simplejwt.views import (
    TokenBlacklistView,
    TokenObtainPairView,
    TokenObtainSlidingView,
    TokenRefreshSlidingView,
    TokenRefreshView,
    TokenVerifyView,
)

from quash_django import end_session
from quash_django.admin import EndSessionsMixin


class Me(APIView):
    authentication_classes = [JWTAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.pk})


class Stateless(Me):
    authentication_classes = [JWTStatelessUserAuthentication]


class DjangoLogOut(Me):
    """Django's log-out, with the access token alone."""

    def post(self, request: Request) -> Response:
        logout(request)
        return Response({})


class OwnLogOut(Me):
    """The log-out view of many tutorials."""

    def post(self, request: Request) -> Response:
        data: Any = request.data
        RefreshToken(data["refresh"]).blacklist()
        return Response({})


class GuideLogOut(APIView):
    """The same without an access token, as in the guide's project but for its permissions."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        data: Any = request.data
        try:
            RefreshToken(data["refresh"]).blacklist()
        except TokenError:
            return Response(status=400)
        return Response(status=205)


class EndSession(Me):
    def post(self, request: Request) -> Response:
        return Response({"ended": end_session(request)})


class Password(Me):
    """Changes the password and signs in again, as forms for resets do."""

    def post(self, request: Request) -> Response:
        user: Any = request.user
        data: Any = request.data
        user.set_password(data["password"])
        user.save()
        refresh = RefreshToken.for_user(user)
        return Response({"refresh": str(refresh), "access": str(refresh.access_token)})


def plain(request: HttpRequest) -> HttpResponse:
    """A view without Django REST framework."""
    return HttpResponse(AccessToken(request.GET["token"])["user_id"])  # type: ignore[arg-type]


async def plain_async(request: HttpRequest) -> HttpResponse:
    return await sync_to_async(plain)(request)


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username() or "nobody")


async def who_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse((await request.auser()).get_username() or "nobody")


def reset(request: HttpRequest) -> HttpResponse:
    """Sets a password and signs in, as the form of a reset does."""
    user = User.objects.get(username="dana")
    user.set_password("new password")
    user.save()
    login(request, user)
    return HttpResponse("reset")


class SiteUserAdmin(EndSessionsMixin, UserAdmin):  # type: ignore[type-arg]
    pass


admin.site.unregister(User)
admin.site.register(User, SiteUserAdmin)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("plain/", plain),
    path("plain-async/", plain_async),
    path("who/", who),
    path("who-async/", who_async),
    path("reset/", reset),
    path("log-in/", LoginView.as_view(success_url="/who/")),
    path("log-out/", LogoutView.as_view()),
    path("change/", PasswordChangeView.as_view(success_url="/who/")),
    path("me/", Me.as_view()),
    path("stateless/", Stateless.as_view()),
    path("token/", TokenObtainPairView.as_view()),
    path("token/refresh/", TokenRefreshView.as_view()),
    path("token/verify/", TokenVerifyView.as_view()),
    path("token/blacklist/", TokenBlacklistView.as_view()),
    path("sliding/", TokenObtainSlidingView.as_view()),
    path("sliding/refresh/", TokenRefreshSlidingView.as_view()),
    path("django-log-out/", DjangoLogOut.as_view()),
    path("own-log-out/", OwnLogOut.as_view()),
    path("guide-log-out/", GuideLogOut.as_view()),
    path("end-session/", EndSession.as_view()),
    path("password/", Password.as_view()),
    path("auth/", include("dj_rest_auth.urls")),
]
