"""The encrypted field under the name that stored migrations know it by."""

from apps.alerts.secrets import EncryptedTextField, Secret

__all__ = ["EncryptedTextField", "Secret"]
