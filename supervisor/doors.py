"""TCP ports: is one free, and which one is the simulated exchange's for ever."""

from __future__ import annotations

import errno
import json
import socket
import time
from pathlib import Path

from supervisor.errors import HouseError

LOOPBACK = "127.0.0.1"
EXCHANGE_PORTS = range(20000, 30000)  # below the range from which outgoing connections are served


def listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def taken(host: str, port: int) -> OSError | None:
    """Why nothing could listen here, or None."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(address)
    except OSError as error:
        return error
    return None


def require_free(host: str, port: int) -> None:
    error = _taken_for_long(host, port)
    if error is None:
        return
    if error.errno == errno.EADDRINUSE:
        raise HouseError(
            f"port {port} is in use: choose another with PORT={port + 1} make run", code=2
        )
    raise HouseError(f"cannot listen on {host}:{port}: {error.strerror or error}", code=2)


def exchange_port(ports: Path, digest: str) -> int:
    """Accounts keep the address of their exchange, so it is chosen once and then only checked."""
    if not ports.exists():
        ports.write_text(json.dumps({"simexchange": _choose(digest)}) + "\n")
        return exchange_port(ports, digest)
    port = int(json.loads(ports.read_text())["simexchange"])
    if _taken_for_long(LOOPBACK, port) is not None:
        raise HouseError(
            f"simexchange: port {port} on {LOOPBACK} is in use by another program. The simulated"
            f" accounts keep this address, so free it (`ss -ltnp 'sport = :{port}'` names the"
            " holder) and start again; or begin with an empty house: make reset",
            code=2,
        )
    return port


def _choose(digest: str) -> int:
    """Each checkout begins its search elsewhere, so that two of them rarely want the same."""
    start = int(digest, 16)
    for step in range(len(EXCHANGE_PORTS)):
        port = EXCHANGE_PORTS[(start + step) % len(EXCHANGE_PORTS)]
        if taken(LOOPBACK, port) is None:
            return port
    raise HouseError(f"no free port for the simulated exchange in {EXCHANGE_PORTS}")


def _taken_for_long(host: str, port: int, patience: float = 1.5) -> OSError | None:
    """The house before this one may still be closing its doors."""
    until = time.monotonic() + patience
    while (error := taken(host, port)) is not None and time.monotonic() < until:
        if error.errno != errno.EADDRINUSE:
            break
        time.sleep(0.1)
    return error
