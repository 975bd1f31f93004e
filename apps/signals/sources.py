"""Opening sources and rotating their secrets, for the command line and the admin alike."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.utils import timezone

from apps.alerts.secrets import Secret
from apps.signals.models import SignalSource
from apps.signals.signing import new_secret

LONGEST_OVERLAP = 7 * 24  # hours


class RotatedMeanwhile(Exception):
    """Somebody rotated the secret since this person looked."""


def open_source(source: SignalSource) -> Secret:
    """Save a new source with a fresh secret, which is given back this once.

    Raises ``ValidationError`` by field.
    """
    source.secret = Secret(new_secret())
    source.full_clean()
    source.save(force_insert=True)
    return source.secret


@transaction.atomic
def rotate(source_id: int, overlap: dt.timedelta, seen: dt.datetime) -> Secret:
    """Put a fresh secret in force and give it back this once; the old one works for ``overlap``.

    ``seen`` is the last rotation that the person knew of: the same form sent twice rotates once.
    """
    source = SignalSource.objects.select_for_update().get(pk=source_id)
    if source.rotated_at != seen:
        raise RotatedMeanwhile
    now = timezone.now()
    source.previous_secret, source.previous_valid_until = source.secret, now + overlap
    source.secret, source.rotated_at = Secret(new_secret()), now
    source.save(update_fields=["secret", "previous_secret", "previous_valid_until", "rotated_at"])
    return source.secret
