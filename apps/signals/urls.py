"""Where signals come in. With or without the last slash: a redirect would lose the body."""

from __future__ import annotations

from django.urls import re_path

from apps.signals import views

app_name = "signals"
urlpatterns = [re_path(r"^hooks/(?P<hook_id>[^/]*)/?$", views.hook, name="hook")]
