"""What people must know, signs of life, and how both reach people outside."""

from apps.alerts.models.alerts import SEVERITY_TONES, Alert, Heartbeat, Severity
from apps.alerts.models.delivery import (
    Channel,
    Delivery,
    DeliveryState,
    EscalationStep,
    Kind,
    Message,
    Purpose,
)

__all__ = [
    "SEVERITY_TONES",
    "Alert",
    "Channel",
    "Delivery",
    "DeliveryState",
    "EscalationStep",
    "Heartbeat",
    "Kind",
    "Message",
    "Purpose",
    "Severity",
]
