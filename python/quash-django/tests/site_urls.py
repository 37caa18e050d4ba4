"""The views of the site under test."""

from typing import Any

from django.contrib.auth.models import Group
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication as UnguardedJWTAuthentication
from rest_framework_simplejwt.authentication import (
    JWTStatelessUserAuthentication as UnguardedStatelessUserAuthentication,
)

from quash_django.rest_framework import HasClaim, JWTAuthentication, JWTStatelessUserAuthentication


class Me(APIView):
    authentication_classes = [JWTAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        token: Any = request.auth
        return Response({"user": request.user.get_username(), "role": token.get("role")})


class Young(Me):
    quash_when_stale = "allow"


class Stateless(APIView):
    authentication_classes = [JWTStatelessUserAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        user = request.user
        assert not isinstance(user, Group)
        return Response(
            {
                "id": user.pk,
                "staff": user.is_staff,
                "super": user.is_superuser,
                "groups": [group.name for group in user.groups.all()],
                "is clerk": user.groups.filter(name="clerk").exists(),
            }
        )


class Clerks(Stateless):
    permission_classes = [IsAuthenticated & HasClaim("role", "clerk")]


class ClerksOrBosses(Stateless):
    permission_classes = [HasClaim("role", "clerk") | HasClaim("role", "boss")]


class Unguarded(Me):
    authentication_classes = [UnguardedJWTAuthentication]


class UnguardedStateless(Me):
    authentication_classes = [UnguardedStatelessUserAuthentication]


class OwnStateless(UnguardedStatelessUserAuthentication):
    """That of a site."""


urlpatterns = [
    path("me/", Me.as_view()),
    path("young/", Young.as_view()),
    path("stateless/", Stateless.as_view()),
    path("clerks/", Clerks.as_view()),
    path("clerks-or-bosses/", ClerksOrBosses.as_view()),
    path("unguarded/", Unguarded.as_view()),
    path("unguarded-stateless/", UnguardedStateless.as_view()),
    path("own-stateless/", Me.as_view(authentication_classes=[OwnStateless])),
    path("now-unguarded/", Me.as_view(authentication_classes=[UnguardedJWTAuthentication])),
    path("now-guarded/", Unguarded.as_view(authentication_classes=[JWTAuthentication])),
]
