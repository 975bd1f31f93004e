"""One server for most tests, emptied before each; prices stand still unless a test moves them."""

from collections.abc import Iterator

import pytest
from dhanhq import DhanContext, dhanhq

from tests.simexchange.harness import CLIENT, TOKEN, Hall, Server


@pytest.fixture(scope="session")
def running() -> Iterator[Server]:
    server = Server("--no-rate-limits", "--tick-ms", "20")
    yield server
    server.kill()


@pytest.fixture
def server(running: Server) -> Server:
    running.sim("reset", {"walk": False})
    return running


@pytest.fixture
def sdk(server: Server) -> Iterator[dhanhq]:
    client = client_for(server)
    yield client
    client.dhan_http.session.close()


@pytest.fixture
def hall() -> Hall:
    return Hall()


def client_for(server: Server) -> dhanhq:
    context = DhanContext(CLIENT, TOKEN)
    context.dhan_http.base_url = f"{server.url}/v2"
    context.dhan_http.timeout = 5
    return dhanhq(context)
