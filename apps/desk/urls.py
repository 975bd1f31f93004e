"""Addresses of the desk's own pages. They come before the admin's and live inside it."""

from __future__ import annotations

from django.urls import path

from apps.desk.views import approvals, halt, health, live, orders, place, prices, signals

app_name = "desk"
urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("admin/", live.front, name="front"),
    path("admin/live/", live.page, name="live"),
    path("admin/live/order/<int:pk>/", orders.page, name="order"),
    path("admin/live/order/<int:pk>/cancel/", orders.cancel, name="cancel"),
    path("admin/live/order/<int:pk>/modify/", orders.modify, name="modify"),
    path("admin/live/signal/<int:pk>/", signals.page, name="signal"),
    path("admin/place/", place.page, name="place"),
    path("admin/place/instruments/", place.instruments, name="instruments"),
    path("admin/prices/<int:account>/watch/", prices.watch, name="watch"),
    path("admin/switches/", halt.page, name="switches"),
    path("admin/switches/turn/", halt.turn, name="turn"),
    path("admin/approvals/", approvals.page, name="approvals"),
    path("admin/approvals/<int:pk>/decide/", approvals.decide, name="decide"),
    path("admin/approvals/<int:pk>/withdraw/", approvals.withdraw, name="withdraw"),
    path("admin/health/", health.page, name="health"),
]
