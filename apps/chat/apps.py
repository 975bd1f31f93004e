"""Django's name for this part of the house."""

from django.apps import AppConfig


class ChatConfig(AppConfig):
    """What people ask of the desk from outside, and what it tells them on a schedule."""

    name = "apps.chat"
    label = "chat"
    verbose_name = "Chat"
