"""Serializers of a site that adds claims to its tokens."""

from rest_framework_simplejwt.serializers import TokenObtainPairSerializer


class WithClaims(TokenObtainPairSerializer):
    @classmethod
    def get_token(cls, user):
        token = super().get_token(user)
        token["name"] = user.get_username()
        token["groups"] = ["staff", "night shift"]
        return token
