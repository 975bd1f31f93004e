"""Addresses of the second factor. They live inside the admin."""

from __future__ import annotations

from django.urls import path

from apps.people import views

app_name = "people"
urlpatterns = [
    path("admin/second-factor/", views.set_up, name="set_up"),
    path("admin/second-factor/verify/", views.verify, name="verify"),
    path("admin/people/<int:pk>/second-factor/", views.take_away, name="take_away"),
]
