"""Measures requests to views of REST framework with quash's tokens, in comparison with Simple JWT in the same run.

DJANGO_SETTINGS_MODULE=site_settings PYTHONPATH=src:tests python tests/figures.py
"""

import time
from typing import Any

import django


def main() -> None:
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from rest_framework.permissions import IsAuthenticated
    from rest_framework.response import Response
    from rest_framework.test import APIRequestFactory
    from rest_framework.views import APIView
    from rest_framework_simplejwt import authentication
    from rest_framework_simplejwt.tokens import AccessToken

    from quash_django import rest_framework
    from quash_django.testing import quash_issuer

    call_command("migrate", verbosity=0)
    user = User.objects.create_user("dana")

    def view(scheme: Any) -> Any:
        class View(APIView):
            authentication_classes = [scheme]
            permission_classes = [IsAuthenticated]

            def get(self, request: Any) -> Response:
                return Response({"user": request.user.pk})

        return View.as_view()

    def measure(scheme: Any, token: str) -> float:
        served, request = view(scheme), APIRequestFactory().get("/", HTTP_AUTHORIZATION=f"Bearer {token}")
        assert served(request).status_code == 200
        best = float("inf")
        for _ in range(300):
            began = time.process_time()
            for _ in range(20):
                served(request)
            best = min(best, (time.process_time() - began) / 20)
        return best * 1e6

    with quash_issuer() as issuer:
        quash, own = issuer.token(user.pk), str(AccessToken.for_user(user))
        for name in ("JWTStatelessUserAuthentication", "JWTAuthentication"):
            theirs, ours = measure(getattr(authentication, name), own), measure(getattr(rest_framework, name), quash)
            print(f"{name}: Simple JWT {theirs:.0f} us, quash-django {ours:.0f} us, {theirs / ours:.2f} times as fast")


if __name__ == "__main__":
    main()
