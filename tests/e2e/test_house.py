"""One order through the whole house, and through its accidents."""

from __future__ import annotations

import signal
import time

import pytest

pytestmark = [pytest.mark.desk, pytest.mark.xdist_group("house")]
BUY = ("--side", "BUY", "--quantity", "2", "--type", "LIMIT")
RESTING = (*BUY, "--price", "1300")
CROSSING = (*BUY, "--price", "1500")


@pytest.fixture(autouse=True)
def healthy(house):
    house.until_healthy()
    house.exchange("walk", on=False)
    house.exchange("price", segment="NSE_EQ", securityId="2885", price=1400)


def test_an_order_that_crosses_is_filled_and_the_feed_says_so(house):
    order = house.place(*CROSSING, "--wait")
    filled = house.until(order["correlation_id"], {"FILLED"}, 10)
    assert filled["filled_quantity"] == 2
    assert len(house.accepted(order["correlation_id"])) == 1


def test_a_resting_order_is_open_and_can_be_cancelled(house):
    order = house.place(*RESTING, "--wait")
    assert order["status"] == "OPEN"
    done = house.manage("cancel_order", order["correlation_id"], "--wait")
    assert done.returncode == 0, done.stderr
    assert "CANCELLED" in done.stdout


def test_a_refused_order_says_why_and_ends_with_1(house):
    done = house.manage(
        "place_order", "paper-1", "--instrument", "RELIANCE", "--side", "BUY",
        "--quantity", "0", "--price", "1400",
    )  # fmt: skip
    assert done.returncode == 1
    assert "must be above 0" in done.stderr


@pytest.mark.parametrize("accept", [True, False])
def test_a_reply_that_never_comes_is_looked_for(house, accept):
    house.exchange("faults", fault="hang", endpoint="place", times=1, accept=accept, seconds=20)
    order = house.place(*RESTING, "--wait")
    found = house.until(order["correlation_id"], {"OPEN"} if accept else {"NEVER_ARRIVED"}, 60)
    assert len(house.accepted(order["correlation_id"])) == (1 if accept else 0)
    assert found["status"] != "UNKNOWN"


def test_an_order_at_the_market_goes_as_a_limit_around_the_last_price(house):
    """With the rules of a new account: band, margin, and a price that was heard or asked for."""
    order = house.place("--side", "BUY", "--quantity", "2", "--type", "MARKET", "--wait")
    assert (order["type"], order["asked_type"], order["price"]) == ("LIMIT", "MARKET", "1414")
    filled = house.until(order["correlation_id"], {"FILLED"}, 10)
    assert filled["average_price"] == "1400"


def test_the_price_of_a_working_order_is_heard_on_the_market_feed(house):
    order = house.place(*RESTING, "--wait")
    house.exchange("price", segment="NSE_EQ", securityId="2885", price=1399)
    assert last_price(house, 1399) == "1399"
    house.manage("cancel_order", order["correlation_id"], "--wait")


def last_price(house, wanted, seconds=15):
    """The stored last price, once it is the wanted one or the time is up; no call is made."""
    code = (
        "from apps.brokers.models import Quote;"
        "print(f\"{Quote.objects.get(instrument__symbol='RELIANCE').last_price.normalize():f}\")"
    )
    deadline = time.monotonic() + seconds
    told = ""
    while told != str(wanted) and time.monotonic() < deadline:
        told = house.manage("shell", "--no-imports", "-c", code).stdout.strip()
    return told


@pytest.mark.parametrize(
    "part",
    [
        "worker@%h",
        "exits@%h",
        "beat",
        "stream_orders --all",
        "stream_quotes --all",
        "stream_quotes paper-1",
        "guard",
    ],
)
def test_a_killed_part_comes_back_and_orders_go_on(house, part):
    assert house.kill(part) >= 1
    order = house.place(*RESTING, "--wait")
    house.until(order["correlation_id"], {"OPEN"}, 40)
    assert len(house.accepted(order["correlation_id"])) == 1


def test_orders_survive_a_worker_killed_while_it_waits_for_the_broker(house):
    house.exchange("faults", fault="hang", endpoint="place", times=1, accept=True, seconds=20)
    order = house.place(*RESTING)
    time.sleep(0.7)
    house.kill("worker@%h")
    house.until(order["correlation_id"], {"OPEN"}, 60)
    assert len(house.accepted(order["correlation_id"])) == 1


def test_a_killed_exchange_keeps_what_it_accepted_and_the_desk_finds_it_again(house):
    order = house.place(*RESTING, "--wait")
    assert house.kill("-m simexchange") == 1
    house.until_healthy()
    done = house.manage("cancel_order", order["correlation_id"], "--wait")
    assert "CANCELLED" in done.stdout, done.stderr


def test_a_worker_with_an_order_in_flight_outlives_a_restart_of_valkey(house):
    (worker,) = house.signal(signal.SIGCONT, "celery", "worker@%h")
    house.exchange("faults", fault="hang", endpoint="place", times=1, accept=True, seconds=20)
    order = house.place(*RESTING)
    assert house.kill("valkey-server") == 1
    house.until(order["correlation_id"], {"OPEN"}, 60)
    again = house.place(*RESTING, "--wait")
    house.until(again["correlation_id"], {"OPEN"}, 40)
    assert house.signal(signal.SIGCONT, "celery", "worker@%h") == [worker]


def test_with_valkey_and_postgres_killed_the_house_recovers_and_nothing_is_doubled(house):
    order = house.place(*RESTING, "--wait")
    assert house.kill("valkey-server") == 1
    time.sleep(1)
    assert house.kill("postgres", "-D") >= 1
    time.sleep(2)
    house.until_healthy()
    again = house.place(*RESTING, "--wait")
    house.until(again["correlation_id"], {"OPEN"}, 40)
    assert house.order(order["correlation_id"])["status"] == "OPEN"
    assert house.exchange("report")["doubled"] == []


def test_a_halt_stops_entries_at_once(house):
    assert house.manage("halt", "paper-2", "--reason", "test").returncode == 0
    done = house.manage("place_order", "paper-2", "--instrument", "RELIANCE", *RESTING)
    assert done.returncode == 1
    assert "HALTED" in done.stderr


def test_check_account_tells_a_wrong_token_in_words(house):
    url = house.env["SIMEXCHANGE_URL"]
    house.manage(
        "create_account", "broken", "--client-id", "1000000009", "--rest-url", f"{url}/v2",
        "--feed-url", url.replace("http", "ws") + "/order-update", stdin="wrong\n",
    )  # fmt: skip
    done = house.manage("check_account", "broken")
    assert done.returncode == 1
    assert "token" in done.stdout.lower()
    house.manage(
        "shell", "--no-imports", "-c",
        "from apps.brokers.models import BrokerAccount;"
        "BrokerAccount.objects.filter(name='broken').update(enabled=False)",
    )  # fmt: skip
