"""The page on which users see and end their sessions, in the mode ``quash_issues``.

    urlpatterns = [path("sessions/", include("quash_django.urls"))]

A template ``quash_django/sessions.html`` of the site replaces the page's own.
"""

from django.urls import path

from .views import SessionsView

app_name = "quash_django"
urlpatterns = [path("", SessionsView.as_view(), name="sessions")]
