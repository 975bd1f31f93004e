"""Addresses: the admin is the desk; health for machines."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("", include("apps.desk.urls")),
    path("", include("apps.people.urls")),
    path("admin/", admin.site.urls),
]
