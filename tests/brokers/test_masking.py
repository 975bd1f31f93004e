"""No secret in a log, whatever the level and whatever goes wrong."""

from __future__ import annotations

import json

import pytest

from apps.brokers import logins, totp
from apps.brokers.models import AccessToken, LoginCredentials, WireCall
from tests.brokers.asking import APP_ID, APP_SECRET, PIN, SECRETS, TOTP_SECRET, go, start
from tradingops.logs import redact_text

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_of_everything_logs_no_secret(account, exchange):
    values = dict(zip(logins.SECRETS, (PIN, TOTP_SECRET, APP_ID, APP_SECRET), strict=True))
    logins.store_login(account, exchange.url, values)
    ((code, said),) = go(start("everything", account, LOG_LEVEL="DEBUG"))
    assert code == 0, said
    step = LoginCredentials.objects.get().totp_step
    known = [*SECRETS, "a-token-id-of-nobody", totp.code_at(TOTP_SECRET, step)]
    known += [str(token.value) for token in AccessToken.objects.all()]
    assert len(known) >= 8
    assert "things: " in said
    assert "task broke" in said
    for secret in known:
        assert secret not in said
    kept = json.dumps(list(WireCall.objects.values("text", "request", "response", "endpoint")))
    for secret in known:
        assert secret not in kept


@pytest.mark.parametrize(
    "text",
    [
        "POST /app/generateAccessToken?dhanClientId=1&pin=112233&totp=998877 HTTP/1.1",
        "/app/consumeApp-consent?tokenId=112233",
        "{'app_secret': '112233', 'token_id': '998877'}",
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9.112233.998877",
    ],
)
def test_what_looks_like_a_secret_is_masked(text):
    masked = redact_text(text)
    assert "112233" not in masked
    assert "998877" not in masked
