"""Simple JWT's views at their usual paths, a typical log-out view, one view of the site's own, and the
site's public keys."""

import json
from pathlib import Path

from django.http import JsonResponse
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt import views
from rest_framework_simplejwt.tokens import RefreshToken


class LogOut(APIView):
    def post(self, request):
        RefreshToken(request.data["refresh"]).blacklist()
        return Response({})


class Orders(APIView):
    def get(self, request):
        return Response({"id": request.user.pk, "username": request.user.get_username()})


def keys(request):
    return JsonResponse(json.loads((Path(__file__).resolve().parent / "jwks.json").read_text()))


urlpatterns = [
    path("api/token/", views.TokenObtainPairView.as_view()),
    path("api/token/refresh/", views.TokenRefreshView.as_view()),
    path("api/token/sliding/", views.TokenObtainSlidingView.as_view()),
    path("api/token/sliding/refresh/", views.TokenRefreshSlidingView.as_view()),
    path("api/token/verify/", views.TokenVerifyView.as_view()),
    path("api/token/blacklist/", views.TokenBlacklistView.as_view()),
    path("api/logout/", LogOut.as_view()),
    path("orders/", Orders.as_view()),
    path(".well-known/jwks.json", keys),
]
