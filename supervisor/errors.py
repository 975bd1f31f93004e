"""What the person at the terminal has to mend."""


class HouseError(Exception):
    """Nothing can start: the message says what is in the way and how to mend it."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
