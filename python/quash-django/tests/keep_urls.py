"""The views of a site that keeps issuing its tokens."""

from typing import Any

from django.contrib.auth import logout
from django.urls import include, path
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication, JWTStatelessUserAuthentication
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.views import (
    TokenBlacklistView,
    TokenObtainPairView,
    TokenObtainSlidingView,
    TokenRefreshSlidingView,
    TokenRefreshView,
    TokenVerifyView,
)

from quash_django import end_session


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
        logout(request)  # type: ignore[arg-type]
        return Response({})


class OwnLogOut(Me):
    """The log-out view of many tutorials."""

    def post(self, request: Request) -> Response:
        RefreshToken(request.data["refresh"]).blacklist()
        return Response({})


class EndSession(Me):
    def post(self, request: Request) -> Response:
        return Response({"ended": end_session(request)})  # type: ignore[arg-type]


class Password(Me):
    """Changes the password and signs in again, as forms for resets do."""

    def post(self, request: Request) -> Response:
        user: Any = request.user
        user.set_password(request.data["password"])
        user.save()
        refresh = RefreshToken.for_user(user)
        return Response({"refresh": str(refresh), "access": str(refresh.access_token)})


urlpatterns = [
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
    path("end-session/", EndSession.as_view()),
    path("password/", Password.as_view()),
    path("auth/", include("dj_rest_auth.urls")),
]
