"""The paths of the site while quash answers /api/token/, /api/token/refresh/ and /api/logout/."""

from accounts.views import MeView, OrdersView, page
from django.conf import settings
from django.contrib import admin
from django.urls import path
from quash_django.rest_framework import JWTStatelessUserAuthentication

urlpatterns = [
    path("", page, {"issuer": settings.QUASH["ISSUER"]}),
    path("admin/", admin.site.urls),
    path("api/me/", MeView.as_view()),
    path("api/orders/", OrdersView.as_view(authentication_classes=[JWTStatelessUserAuthentication])),
]
