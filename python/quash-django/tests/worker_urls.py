"""The views of the site that gunicorn serves."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.views import TokenBlacklistView, TokenObtainPairView, TokenRefreshView


class Me(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.get_username()})


class LogOut(APIView):
    """The log-out of the guide's project, for requests without an access token, too."""

    permission_classes = []

    def post(self, request: Request) -> Response:
        data: Any = request.data
        RefreshToken(data["refresh"]).blacklist()
        return Response({})


def alive(request: HttpRequest) -> HttpResponse:
    return HttpResponse("alive")


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username(), status=200 if request.user.is_authenticated else 401)


urlpatterns = [
    path("admin/", admin.site.urls),
    path("who/", who),
    path("log-in/", LoginView.as_view(next_page="/who/", template_name="admin/login.html")),
    path("log-out/", LogoutView.as_view()),
    path("alive/", alive),
    path("me/", Me.as_view()),
    path("api/token/", TokenObtainPairView.as_view()),
    path("api/token/refresh/", TokenRefreshView.as_view()),
    path("api/logout/", LogOut.as_view()),
    path("api/token/blacklist/", TokenBlacklistView.as_view()),
]
