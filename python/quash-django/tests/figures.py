"""Measures requests to views of REST framework, in comparison with Simple JWT in the same run: with quash's tokens, and
with Simple JWT's own, which a verifier that follows a real server checks natively or, without the key, only asks about.

DJANGO_SETTINGS_MODULE=site_settings PYTHONPATH=src:tests python tests/figures.py

Each figure is a line `figure NAME OURS BASELINE`, in requests per second of CPU, which `cargo xtask bench` reads.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import django

ROUNDS = 300
REQUESTS = 20
SCHEMES = {"JWTStatelessUserAuthentication": "stateless", "JWTAuthentication": "with the user"}


class Contender(NamedTuple):
    """A way to authenticate requests."""

    name: str
    prepare: Callable[[], None]
    package: Any
    token: str


def main() -> None:
    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from quash_verify import Verifier
    from rest_framework.permissions import IsAuthenticated
    from rest_framework.response import Response
    from rest_framework.test import APIRequestFactory
    from rest_framework.views import APIView
    from rest_framework_simplejwt import authentication
    from rest_framework_simplejwt.tokens import AccessToken
    from with_server import site

    from quash_django import conf, rest_framework, simplejwt
    from quash_django.client import shared_verifier
    from quash_django.testing import quash_issuer

    call_command("migrate", verbosity=0)
    user = User.objects.create_user("dana")
    found = site(settings.SECRET_KEY)

    def view(scheme: Any) -> Any:
        class View(APIView):
            authentication_classes = [scheme]
            permission_classes = [IsAuthenticated]

            def get(self, request: Any) -> Response:
                return Response({"user": request.user.pk})

        return View.as_view()

    def keep_issuing(*secrets: str) -> Callable[[], None]:
        verifier = Verifier(found.url, credential=found.credential, namespace="shop", secrets=secrets)
        verifier.warm()

        def prepare() -> None:
            simplejwt.install()
            shared_verifier.install(verifier)

        return prepare

    def measure(scheme: str, contenders: list[Contender]) -> None:
        best = dict.fromkeys((contender.name for contender in contenders), float("inf"))
        served = {contender.name: view(getattr(contender.package, scheme)) for contender in contenders}
        # In turn, so that a busy machine slows all of them down.
        for _ in range(ROUNDS):
            for name, prepare, _package, token in contenders:
                prepare()
                request = APIRequestFactory().get("/", HTTP_AUTHORIZATION=f"Bearer {token}")
                assert served[name](request).status_code == 200
                began = time.process_time()
                for _ in range(REQUESTS):
                    served[name](request)
                best[name] = min(best[name], (time.process_time() - began) / REQUESTS)
        plain = best.pop(contenders[0].name)
        for name, seconds in best.items():
            print(f"figure {name}, {SCHEMES[scheme]} {1 / seconds:.0f} {1 / plain:.0f}")

    with quash_issuer() as issuer:
        of_quash = shared_verifier.verifier()

        def quash_issues() -> None:
            simplejwt.uninstall()
            shared_verifier.install(of_quash)

        settings.QUASH = {"ISSUER": found.url, "CREDENTIAL": found.credential, "NAMESPACE": "shop"}
        conf._read.clear()
        natively, by_pyjwt = keep_issuing(found.secret), keep_issuing()
        natively()
        own = str(AccessToken.for_user(user))
        contenders = [
            Contender("Simple JWT", simplejwt.uninstall, authentication, own),
            Contender("keep issuing", natively, authentication, own),
            Contender("keep issuing by PyJWT", by_pyjwt, authentication, own),
            Contender("quash issues", quash_issues, rest_framework, issuer.token(user.pk)),
        ]
        for scheme in SCHEMES:
            measure(scheme, contenders)


if __name__ == "__main__":
    main()
