from django.contrib.auth.password_validation import validate_password
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer

from .models import User


class RegisterSerializer(serializers.ModelSerializer):
    password = serializers.CharField(write_only=True, validators=[validate_password])

    class Meta:
        model = User
        fields = ["email", "password"]

    def create(self, validated_data):
        return User.objects.create_user(**validated_data)


class LoginSerializer(TokenObtainPairSerializer):
    """Takes `email` and `password`, and refuses an address that isn't verified."""

    def validate(self, attrs):
        tokens = super().validate(attrs)
        if not self.user.is_verified:
            raise AuthenticationFailed("Follow the link in our mail first.", code="not_verified")
        return tokens
