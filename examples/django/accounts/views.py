"""Registration, sign-in, log-out, and two views that need a token."""

from django.core import signing
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.generic import TemplateView
from rest_framework import generics, status
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken
from rest_framework_simplejwt.views import TokenObtainPairView

from .models import User
from .serializers import LoginSerializer, RegisterSerializer

page = TemplateView.as_view(template_name="accounts/page.html")


class RegisterView(generics.CreateAPIView):
    authentication_classes = []
    permission_classes = [AllowAny]
    serializer_class = RegisterSerializer

    def perform_create(self, serializer):
        user = serializer.save()
        link = reverse("verify", args=[signing.dumps(user.pk, salt="verify")])
        user.email_user("Verify your address", self.request.build_absolute_uri(link))


def verify(request, token):
    try:
        pk = signing.loads(token, salt="verify", max_age=24 * 3600)
    except signing.BadSignature:
        return HttpResponse("This link isn't valid.", status=400)
    user = get_object_or_404(User, pk=pk)
    user.is_verified = True
    user.save()
    return HttpResponse("Your address is verified. You can sign in now.")


class LoginView(TokenObtainPairView):
    serializer_class = LoginSerializer


class LogoutView(APIView):
    # The refresh token is enough, also once the access token has expired.
    authentication_classes = permission_classes = []

    def post(self, request):
        try:
            RefreshToken(request.data["refresh"]).blacklist()
        except (KeyError, TypeError, TokenError):
            return Response(status=status.HTTP_400_BAD_REQUEST)
        return Response(status=status.HTTP_205_RESET_CONTENT)


class MeView(APIView):
    """Reads the user from the database, as Simple JWT does by default."""

    def get(self, request):
        return Response({"email": request.user.email})


class OrdersView(APIView):
    """Trusts the token alone, as services without the table of users do."""

    authentication_classes = [JWTStatelessUserAuthentication]

    def get(self, request):
        return Response({"orders": [], "user": request.user.pk})
