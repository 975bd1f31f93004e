"""Rate limits per account and class."""

from collections.abc import Iterator

import pytest

from simexchange.limits import RateLimits
from tests.simexchange.harness import CLIENT, OTHER, OTHER_TOKEN, Server, payload


class Hands:
    """A clock turned by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def limited(server: Server) -> Iterator[Server]:
    server.sim("limits", {"on": True})
    yield server
    server.sim("limits", {"on": False})


def admitted(limits: RateLimits, times: int, kind: str = "order") -> int:
    return sum(limits.admit(CLIENT, kind) for _ in range(times))


def test_ten_orders_a_second(hands: Hands) -> None:
    limits = RateLimits(hands)
    assert admitted(limits, 15) == 10
    assert limits.refused == 5
    hands.now += 1.01
    assert admitted(limits, 15) == 10


@pytest.mark.parametrize(("seconds", "most"), [(60, 250), (3600, 1000), (86400, 7000)])
def test_orders_over_longer_windows(hands: Hands, seconds: int, most: int) -> None:
    limits = RateLimits(hands)
    started, passed = hands.now, 0
    while hands.now - started < seconds - 1:
        passed += admitted(limits, 10)
        hands.now += seconds / (most / 10) / 2
    assert passed == most
    hands.now = started + 2 * seconds
    assert admitted(limits, 1) == 1


def test_without_the_longer_windows_only_a_second_limits(hands: Hands) -> None:
    limits = RateLimits(hands)
    limits.longer = False
    for _ in range(120):
        assert admitted(limits, 15) == 10
        hands.now += 1.01


def test_accounts_and_classes_do_not_share(hands: Hands) -> None:
    limits = RateLimits(hands)
    admitted(limits, 10)
    assert limits.admit(OTHER, "order")
    assert admitted(limits, 30, "read") == 20


def test_switched_off_everything_passes(hands: Hands) -> None:
    assert admitted(RateLimits(hands, on=False), 100) == 100


def test_over_the_wire_the_21st_read_is_429_without_retry_after(limited: Server) -> None:
    replies = [limited.call("GET", "/profile") for _ in range(21)]
    assert [reply.status_code for reply in replies] == [200] * 20 + [429]
    assert replies[-1].json() == payload("observed-error-429-rate-limit")
    assert "Retry-After" not in replies[-1].headers
    assert limited.call("GET", "/profile", token=OTHER_TOKEN).status_code == 200
    assert limited.sim("report")["rate_limited"] == 1


def test_over_the_wire_the_11th_order_is_429(limited: Server) -> None:
    ids = [limited.place() for _ in range(10)]
    assert limited.call("DELETE", f"/orders/{ids[0]}").status_code == 429
    assert len(limited.call("GET", "/orders").json()) == 10


def test_quotes_are_one_a_second_with_their_own_error(limited: Server) -> None:
    asked = {"NSE_EQ": [2885]}
    assert limited.call("POST", "/marketfeed/ltp", asked).status_code == 200
    reply = limited.call("POST", "/marketfeed/ohlc", asked)
    assert reply.status_code == 429
    assert list(reply.json()["data"]) == ["805"]
