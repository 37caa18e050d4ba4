"""The authentication classes in OpenAPI descriptions that drf-spectacular writes."""

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme


class LiveScheme(SimpleJWTScheme):  # type: ignore[no-untyped-call]
    target_class = "quash_django.rest_framework.LiveAuthenticationMixin"
    match_subclasses = True
    priority = 1
