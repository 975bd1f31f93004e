"""Ask the web part whether the whole desk is well."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException

WELL = 200


def missing_at(host: str, port: int) -> dict[str, str]:
    """What is still missing, and why; empty when all is well. No proxy is ever asked."""
    line = HTTPConnection(_reachable(host), port, timeout=5)
    try:
        line.request("GET", "/healthz", headers={"Host": f"localhost:{port}"})
        answer = line.getresponse()
        body = answer.read()
    except (OSError, HTTPException):
        return {"web": "does not answer"}
    finally:
        line.close()
    return {} if answer.status == WELL else _named(answer.status, body)


def _named(status: int, body: bytes) -> dict[str, str]:
    """The desk answers {"failing": [name, ...], "parts": {name: {"detail": why}}}."""
    try:
        answer = json.loads(body)
        failing = {name: str(answer["parts"][name]["detail"]) for name in answer["failing"]}
    except (ValueError, TypeError, KeyError):
        failing = {}
    return failing or {"web": f"answers {status}"}


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
