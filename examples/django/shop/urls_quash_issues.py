"""The paths of the site while quash answers /api/token/, /api/token/refresh/ and /api/logout/."""

from accounts.views import MeView, OrdersView, RegisterView, page, verify
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as forms
from django.urls import path
from quash_django.rest_framework import JWTStatelessUserAuthentication

urlpatterns = [
    path("", page, {"issuer": settings.QUASH["ISSUER"]}),
    path("admin/", admin.site.urls),
    path("accounts/verify/<token>/", verify, name="verify"),
    path("accounts/reset/", forms.PasswordResetView.as_view(), name="password_reset"),
    path("accounts/reset/sent/", forms.PasswordResetDoneView.as_view(), name="password_reset_done"),
    path("accounts/reset/<uidb64>/<token>/", forms.PasswordResetConfirmView.as_view(), name="password_reset_confirm"),
    path("accounts/reset/done/", forms.PasswordResetCompleteView.as_view(), name="password_reset_complete"),
    path("api/register/", RegisterView.as_view()),
    path("api/me/", MeView.as_view()),
    path("api/orders/", OrdersView.as_view(authentication_classes=[JWTStatelessUserAuthentication])),
]
