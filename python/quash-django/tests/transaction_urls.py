"""Views that change a password or issue tokens, for ATOMIC_REQUESTS."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils.decorators import method_decorator
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView


def issued(user: User) -> dict[str, str]:
    refresh = RefreshToken.for_user(user)
    return {"refresh": str(refresh), "access": str(refresh.access_token)}


class Change(APIView):
    """Wrong: the new tokens end with the old ones."""

    authentication_classes = [JWTAuthentication]
    permission_classes = [IsAuthenticated]

    def post(self, request: Request) -> Response:
        with transaction.atomic():
            user: Any = request.user
            user.set_password("another horse")
            user.save()
        return Response(issued(user))


@method_decorator(transaction.non_atomic_requests, name="dispatch")
class RightChange(Change):
    """Right: the change is committed first."""


class Fields(serializers.Serializer):  # type: ignore[type-arg]
    password = serializers.CharField()

    def update(self, instance: Any, validated_data: Any) -> Any:
        instance.set_password(validated_data["password"])
        instance.save()
        return instance


class ChangeBySerializer(Change):
    serializer_class = Fields

    def post(self, request: Request) -> Response:
        fields = self.serializer_class(request.user, data=request.data)
        fields.is_valid(raise_exception=True)
        return Response(issued(fields.save()))


class Register(APIView):
    """Right: the user has no old sessions."""

    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        data: Any = request.data
        return Response(issued(self.create(data["name"])))

    def create(self, name: str) -> User:
        user = User(username=name)
        user.set_password("correct horse")
        user.save()
        return user


def reset(request: HttpRequest) -> JsonResponse:
    """Wrong, without classes."""
    user = User.objects.get(username="dana")
    user.set_password("another horse")
    user.save()
    return JsonResponse(issued(user))


@transaction.non_atomic_requests
def right_reset(request: HttpRequest) -> HttpResponse:
    return reset(request)


urlpatterns = [
    path("change/", Change.as_view()),
    path("right-change/", RightChange.as_view()),
    path("serializer/", ChangeBySerializer.as_view()),
    path("register/", Register.as_view()),
    path("reset/", reset),
    path("right-reset/", right_reset),
    path("token/", TokenObtainPairView.as_view()),
    path("token/refresh/", TokenRefreshView.as_view()),
]
