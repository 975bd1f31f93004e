"""Addresses of the desk's own pages. They come before the admin's and live inside it."""

from __future__ import annotations

from django.urls import path

from apps.desk.views import (
    alerts,
    approvals,
    breaks,
    calendar,
    days,
    halt,
    health,
    live,
    orders,
    place,
    positions,
    prices,
    ready,
    signals,
    start,
    wholes,
)

app_name = "desk"
urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("admin/", start.page, name="front"),
    path("admin/live/", live.page, name="live"),
    path("admin/live/order/<int:pk>/", orders.page, name="order"),
    path("admin/live/order/<int:pk>/cancel/", orders.cancel, name="cancel"),
    path("admin/live/order/<int:pk>/modify/", orders.modify, name="modify"),
    path("admin/live/order/<int:pk>/release/", orders.release, name="release"),
    path("admin/live/order/<int:pk>/exit/", place.leave, name="exit"),
    path("admin/live/slices/<int:pk>/", wholes.page, name="whole"),
    path("admin/live/slices/<int:pk>/resume/<int:stop>/", wholes.resume, name="whole_resume"),
    path("admin/live/slices/<int:pk>/drop/<int:stop>/", wholes.drop, name="whole_drop"),
    path("admin/live/slices/<int:pk>/cancel/", wholes.cancel, name="whole_cancel"),
    path("admin/live/signal/<int:pk>/", signals.page, name="signal"),
    path("admin/place/", place.page, name="place"),
    path("admin/place/instruments/", place.instruments, name="instruments"),
    path("admin/prices/<int:account>/watch/", prices.watch, name="watch"),
    path("admin/positions/", positions.page, name="positions"),
    path("admin/positions/enter/", positions.enter, name="entry"),
    path("admin/days/", days.page, name="days"),
    path("admin/days/<int:pk>/csv/", days.as_csv, name="day_csv"),
    path("admin/breaks/", breaks.page, name="breaks"),
    path("admin/breaks/<int:pk>/take-on/", breaks.take_on, name="take_on_break"),
    path("admin/breaks/<int:pk>/explain/", breaks.explain, name="explain_break"),
    path("admin/switches/", halt.page, name="switches"),
    path("admin/switches/turn/", halt.turn, name="turn"),
    path("admin/approvals/", approvals.page, name="approvals"),
    path("admin/approvals/<int:pk>/decide/", approvals.decide, name="decide"),
    path("admin/approvals/<int:pk>/withdraw/", approvals.withdraw, name="withdraw"),
    path("admin/calendar/", calendar.page, name="calendar"),
    path("admin/calendar/confirm/", calendar.confirm, name="calendar_confirm"),
    path("admin/calendar/withdraw/", calendar.withdraw, name="calendar_withdraw"),
    path("admin/calendar/import/", calendar.take_in, name="calendar_import"),
    path("admin/ready/", ready.page, name="ready"),
    path("admin/health/", health.page, name="health"),
    path("admin/alerts/acknowledge/<int:pk>/", alerts.acknowledge, name="acknowledge"),
]
