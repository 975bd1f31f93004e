"""Wiring only: settings, urls, sockets, celery, checks."""
