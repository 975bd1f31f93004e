"""What the REST side answers with, errors above all.

Bodies and codes: DhanHQ v2 documentation, annexure; the spellings `Input_Exception`,
`Order_Error` and `Rate_Limit` are recorded from the wire.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP status and a JSON body, or a file as it was `modified`."""

    status: int
    body: Any
    file: bytes | None = None
    modified: datetime | None = None


class RefusedError(Exception):
    """The request ends here with an error reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body)
        self.reply = reply


def _error(status: int, kind: str, code: str, message: str) -> Reply:
    return Reply(status, {"errorType": kind, "errorCode": code, "errorMessage": message})


BAD_INPUT = _error(
    400,
    "Input_Exception",
    "DH-905",
    "Missing required fields, bad values for parameters etc.",
)
BAD_TOKEN = _error(
    401,
    "Invalid_Authentication",
    "DH-901",
    "Client ID or user generated access token is invalid or expired",
)
RENEWAL_REFUSED = _error(400, "Order_Error", "DH-906", "Invalid Token")
NOT_RENEWABLE = _error(
    500, "Input_Exception", "DH-905", "Renewal of token not allowed for this token type"
)
WRONG_ADDRESS = _error(400, "Input_Exception", "DH-905", "Invalid IP")
QUOTES_EXPIRED = Reply(401, {"data": {"807": "Access token is expired"}, "status": "failed"})
TOO_MANY = _error(
    429,
    "Rate_Limit",
    "DH-904",
    "Too many requests on server from single user breaching rate limits. Try throttling API calls.",
)
TOO_MANY_QUOTES = Reply(
    429,
    {
        "data": {
            "805": "Too many requests. Further requests may result in the user being blocked."
        },
        "status": "failed",
    },
)
NO_HOLDINGS = _error(500, "HOLDING_ERROR", "DH-1111", "No holdings available")
SERVER_ERROR = _error(500, "Internal_Server_Error", "DH-908", "Internal Server Error")
NOT_NAMED = _error(404, "Order_Error", "DH-906", "No order found for the given correlation id")


def required(name: str) -> Reply:
    return _error(400, "Input_Exception", "DH-905", f"{name} is required")


def login_error(message: str) -> Reply:
    """The token service says no under HTTP 200 (recorded)."""
    return Reply(200, {"status": "error", "message": message})


def account_error(message: str) -> Reply:
    return _error(400, "User_Account", "DH-903", message)


def order_error(message: str) -> Reply:
    return _error(400, "Order_Error", "DH-906", message)


def data_error(code: int, message: str) -> Reply:
    return Reply(400, {"data": {str(code): message}, "status": "failed"})


def unknown_path(path: str, status: int = 404, error: str = "Not Found") -> Reply:
    """The broker's web server speaks here, not its API: the stamp is epoch milliseconds."""
    body = {"timestamp": int(time.time() * 1000), "status": status, "error": error, "path": path}
    return Reply(status, body)
