"""Tokens: how they are made, how long they live, and what ends them."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from dhanhq import DhanContext, dhanhq
from dhanhq.auth import DhanLogin
from django_otp.oath import totp

from tests.simexchange.harness import CLIENT, TOKEN, Server, eventually
from tests.simexchange.test_order_updates import listen

KEY = base64.b32decode("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
PIN = "112233"
APP = {"app_id": "app-1", "app_secret": "app-secret-1"}


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Servers of its own, with rate limits."""
    servers: list[Server] = []

    def run(*arguments: str) -> Server:
        servers.append(Server("--tick-ms", "100000", *arguments))
        return servers[-1]

    yield run
    for server in servers:
        server.kill()


def code(drift: int = 0) -> str:
    return f"{totp(KEY, drift=drift):06d}"


def log_in(server: Server, **different: str) -> dict[str, Any]:
    query = {"dhanClientId": CLIENT, "pin": PIN, "totp": code()} | different
    reply = requests.post(f"{server.url}/app/generateAccessToken", params=query, timeout=5)
    assert reply.status_code == 200
    return reply.json()


def renew(server: Server, token: str = TOKEN, method: str = "GET") -> requests.Response:
    headers = {"access-token": token, "dhanClientId": CLIENT}
    return requests.request(method, f"{server.url}/v2/RenewToken", headers=headers, timeout=5)


def works(server: Server, token: str) -> bool:
    return server.call("GET", "/orders", token=token).status_code == 200


def test_a_renewal_makes_a_new_token_and_ends_the_old_one(server: Server) -> None:
    body = renew(server).json()
    assert body["dhanClientId"] == CLIENT
    assert works(server, body["token"])
    assert not works(server, TOKEN)
    again = renew(server)
    assert (again.status_code, again.json()["errorMessage"]) == (400, "Invalid Token")
    claims = json.loads(base64.urlsafe_b64decode(body["token"].split(".")[1] + "=="))
    assert claims["exp"] == pytest.approx(time.time() + 24 * 3600, abs=5)


def test_a_renewal_ends_the_sockets_of_the_old_token(server: Server) -> None:
    ear = listen(server)
    assert server.sim("report")["feed_connections"] == {CLIENT: 1}
    renew(server)
    eventually(lambda: server.sim("report")["feed_connections"] == {})
    ear.socket.shutdown()


def test_a_renewal_by_post_is_refused(server: Server) -> None:
    reply = renew(server, method="POST")
    assert (reply.status_code, reply.json()["errorCode"]) == (400, "DH-905")
    assert works(server, TOKEN)


@pytest.mark.parametrize("made", ["PIN", "APP"])
def test_only_a_token_of_the_web_is_renewed(server: Server, made: str) -> None:
    server.sim("token", {"client_id": CLIENT, "made": made})
    reply = renew(server)
    assert (reply.status_code, reply.json()["errorCode"]) == (500, "DH-905")
    assert works(server, TOKEN)


def test_a_login_with_pin_and_code(server: Server) -> None:
    body = log_in(server)
    assert works(server, body["accessToken"])
    assert not works(server, TOKEN)
    assert "+" not in body["expiryTime"]


@pytest.mark.parametrize(
    ("different", "message"),
    [
        ({"pin": "999999"}, "Invalid Pin"),
        ({"totp": "000000"}, "Invalid TOTP"),
        ({"dhanClientId": "9"}, "Invalid Client Id"),
    ],
)
def test_a_wrong_login_is_refused_under_200(
    server: Server, different: dict[str, str], message: str
) -> None:
    assert log_in(server, **different) == {"status": "error", "message": message}
    assert works(server, TOKEN)


def test_a_code_counts_once(server: Server) -> None:
    used = code()
    assert "accessToken" in log_in(server, totp=used)
    assert log_in(server, totp=used)["message"] == "Invalid TOTP"


def test_two_logins_within_two_minutes(start: Callable[..., Server]) -> None:
    server = start()
    assert "accessToken" in log_in(server)
    assert "once every 2 minutes" in log_in(server, totp=code(drift=1))["message"]


def consent(server: Server, **different: str) -> dict[str, Any]:
    url = f"{server.url}/app/generate-consent"
    headers = APP | different
    return requests.post(url, params={"client_id": CLIENT}, headers=headers, timeout=5).json()


def token_id_of(server: Server, consent_id: str) -> str:
    page = f"{server.url}/login/consentApp-login?consentAppId={consent_id}"
    assert "<button>" in requests.get(page, timeout=5).text
    back = requests.post(page, timeout=5, allow_redirects=False)
    assert back.status_code == 302
    address, _, token_id = back.headers["Location"].partition("?tokenId=")
    assert address == "http://desk.example/back"
    return token_id


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_three_steps_of_a_login_in_a_browser(server: Server, method: str) -> None:
    server.sim("login", {"client_id": CLIENT, "redirect_url": "http://desk.example/back"})
    token_id = token_id_of(server, consent(server)["consentAppId"])
    url = f"{server.url}/app/consumeApp-consent"
    query = {"tokenId": token_id}
    body = requests.request(method, url, params=query, headers=APP, timeout=5).json()
    assert works(server, body["accessToken"])
    again = requests.request(method, url, params=query, headers=APP, timeout=5).json()
    assert again == {"status": "error", "message": "Invalid token id"}


def test_a_wrong_app_gets_no_consent(server: Server) -> None:
    assert consent(server, app_secret="wrong")["status"] == "error"


def test_a_login_page_that_nobody_asked_for(server: Server) -> None:
    page = f"{server.url}/login/consentApp-login?consentAppId=nonsense"
    assert requests.get(page, timeout=5).status_code == 400


def test_a_token_ends_at_its_time(server: Server) -> None:
    server.sim("token", {"client_id": CLIENT, "expires_in": 0})
    reply = server.call("GET", "/orders")
    assert (reply.status_code, reply.json()["errorCode"]) == (401, "DH-901")
    quotes = server.call("POST", "/marketfeed/ltp", {"NSE_EQ": [2885]})
    assert (quotes.status_code, quotes.json()["data"]) == (401, {"807": "Access token is expired"})
    assert renew(server).json()["errorMessage"] == "Invalid Token"


def test_the_end_of_a_token_ends_its_sockets(server: Server) -> None:
    ear = listen(server)
    server.sim("token", {"client_id": CLIENT, "expires_in": 0.05})
    eventually(lambda: server.sim("report")["feed_connections"] == {})
    ear.socket.shutdown()


def test_the_profile_tells_the_end(server: Server) -> None:
    server.sim("token", {"client_id": CLIENT, "expires_in": 3600})
    told = server.call("GET", "/profile").json()["tokenValidity"]
    moment = time.mktime(time.strptime(told, "%d/%m/%Y %H:%M"))
    india = time.time() + 3600 + 5.5 * 3600 + time.timezone
    assert abs(moment - india) < 61


def test_tokens_of_the_start_live_as_long_as_asked(start: Callable[..., Server]) -> None:
    server = start("--token-hours", "0.0001")
    eventually(lambda: server.call("GET", "/orders").status_code == 401)


def test_from_a_wrong_address_orders_are_refused_and_reads_go_on(server: Server) -> None:
    server.sim("address", {"client_id": CLIENT, "allowed": False})
    body = {"transactionType": "BUY"}
    for method, path in (("POST", "/orders"), ("PUT", "/orders/1"), ("DELETE", "/orders/1")):
        reply = server.call(method, path, body)
        assert (reply.status_code, reply.json()["errorMessage"]) == (400, "Invalid IP")
    assert works(server, TOKEN)
    seen = server.call("GET", "/ip/getIP").json()
    assert (seen["ordersAllowed"], seen["detectedIP"]) == (False, "127.0.0.1")
    server.sim("address", {"client_id": CLIENT, "allowed": True})
    seen = server.call("GET", "/ip/getIP").json()
    assert (seen["ordersAllowed"], seen["primaryIP"]) == (True, seen["detectedIP"])


@pytest.mark.parametrize("fault", ["drop_before_accept", "drop_after_accept"])
def test_a_lost_reply_to_a_renewal(server: Server, fault: str) -> None:
    server.sim("faults", {"fault": fault, "endpoint": "renew", "times": 1})
    with pytest.raises(requests.ConnectionError):
        renew(server)
    assert works(server, TOKEN) is (fault == "drop_before_accept")


def test_a_reset_brings_the_first_tokens_back(server: Server) -> None:
    token = renew(server).json()["token"]
    server.sim("reset", {"walk": False})
    assert works(server, TOKEN)
    assert not works(server, token)


def test_no_secret_gets_into_the_log_of_requests(server: Server) -> None:
    body = log_in(server)
    consent(server)
    log = json.dumps(server.sim("requests?since=0"))
    for secret in (PIN, code(), body["accessToken"], APP["app_secret"]):
        assert secret not in log


def test_the_sdk_logs_in_and_renews(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DhanLogin, "AUTH_BASE_URL", server.url)
    monkeypatch.setattr(DhanLogin, "API_BASE_URL", f"{server.url}/v2")
    login = DhanLogin(CLIENT)
    renewed = login.renew_token(TOKEN)["token"]
    assert login.user_profile(renewed)["dhanClientId"] == CLIENT
    token = login.generate_token(PIN, code())["accessToken"]
    context = DhanContext(CLIENT, token)
    context.dhan_http.base_url = f"{server.url}/v2"
    assert dhanhq(context).get_fund_limits()["status"] == "success"
