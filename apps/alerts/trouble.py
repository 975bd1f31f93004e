"""Why a message did not get out, in words that carry no secret."""

from __future__ import annotations


class Trouble(Exception):
    """A message was not delivered. The text is for people and never has an address in it.

    ``permanent``: asking again cannot help until a person changes something. ``wait``: the other
    side named the seconds after which to come back; that is no fault of the channel.
    """

    def __init__(self, why: str, *, permanent: bool = False, wait: float | None = None) -> None:
        super().__init__(why[:300])
        self.permanent = permanent
        self.wait = wait
