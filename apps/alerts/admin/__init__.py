"""Alerts, and the channels on which people hear of them, in the admin."""

from apps.alerts.admin.alerts import AlertAdmin, HeartbeatAdmin
from apps.alerts.admin.channels import ChannelAdmin, DeliveryAdmin, EscalationStepAdmin

__all__ = ["AlertAdmin", "ChannelAdmin", "DeliveryAdmin", "EscalationStepAdmin", "HeartbeatAdmin"]
