from accounts.views import LoginView, LogoutView, MeView, OrdersView, RegisterView, page, verify
from django.contrib import admin
from django.contrib.auth import views as forms
from django.urls import path
from rest_framework_simplejwt.views import TokenRefreshView

urlpatterns = [
    path("", page),
    path("admin/", admin.site.urls),
    path("accounts/verify/<token>/", verify, name="verify"),
    path("accounts/reset/", forms.PasswordResetView.as_view(), name="password_reset"),
    path("accounts/reset/sent/", forms.PasswordResetDoneView.as_view(), name="password_reset_done"),
    path("accounts/reset/<uidb64>/<token>/", forms.PasswordResetConfirmView.as_view(), name="password_reset_confirm"),
    path("accounts/reset/done/", forms.PasswordResetCompleteView.as_view(), name="password_reset_complete"),
    path("api/register/", RegisterView.as_view()),
    path("api/token/", LoginView.as_view()),
    path("api/token/refresh/", TokenRefreshView.as_view()),
    path("api/logout/", LogoutView.as_view()),
    path("api/me/", MeView.as_view()),
    path("api/orders/", OrdersView.as_view()),
]
