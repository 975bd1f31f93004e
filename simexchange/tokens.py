"""The token service: renewal, login with PIN and TOTP, and the three steps of a login in a browser.

DhanHQ v2 documentation, authentication page. Recorded: refusals under HTTP 200, their wordings
about time and code, the key `token` of a renewal, GET and POST for the last step. Other wordings
are invented.
"""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from html import escape
from urllib.parse import urlencode

from aiohttp import web

from simexchange.access import APP, LIFETIME, PIN, WEB, expiry_text, new_token
from simexchange.accounts import Account
from simexchange.clock import stamp
from simexchange.exchange import Exchange
from simexchange.faults import Faults
from simexchange.frames import TOKEN_EXPIRED
from simexchange.inflict import Scene
from simexchange.ledger import Ledger
from simexchange.limits import RateLimits
from simexchange.market_feed import MarketFeed
from simexchange.replies import NOT_RENEWABLE, Reply, login_error
from simexchange.request_log import RequestLog
from simexchange.serving import carry_out
from simexchange.sockets import OrderFeed
from simexchange.trading import Call

MINT_SECONDS = 120
CONSENT_LIFE = timedelta(minutes=10)
PAGE = """<!doctype html><title>Log in</title><meta name="viewport" content="width=device-width">
<h1>Simulated broker</h1><p>Client {client}</p>
<form method="post"><button>Log in and allow</button></form>"""


class TokenDesk:
    """Makes tokens; each one ends the one before it, and the sockets that used that."""

    def __init__(
        self,
        ledger: Ledger,
        feeds: Sequence[OrderFeed | MarketFeed],
        limits: RateLimits,
        seed: int,
        life: timedelta | None,
    ) -> None:
        self._ledger = ledger
        self._feeds = feeds
        self._limits = limits
        self._seed = seed
        self._life, self._first_life = life or LIFETIME, life
        self._consents: dict[str, tuple[str, datetime]] = {}
        self._token_ids: dict[str, tuple[str, datetime]] = {}
        for account in ledger.accounts.values():
            self._let_first_token_live(account)

    def renew(self, call: Call) -> Reply:
        if call.account.access.made != WEB:
            return NOT_RENEWABLE
        token, ends = self._mint(call.account, WEB)
        return Reply(200, {**_who(call.account), "token": token, "expiryTime": expiry_text(ends)})

    def generate(self, request: web.Request) -> Reply:
        """One login with PIN and code."""
        account = self._ledger.accounts.get(request.query.get("dhanClientId", ""))
        if account is None:
            return login_error("Invalid Client Id")
        access, now = account.access, self._ledger.clock()
        if self._limits.on and now.timestamp() - access.minted_at < MINT_SECONDS:
            return login_error("Token can be generated once every 2 minutes")
        if request.query.get("pin") != access.pin:
            return login_error("Invalid Pin")
        if not access.takes(request.query.get("totp", ""), now):
            return login_error("Invalid TOTP")
        return self._granted(account, PIN)

    def ask_consent(self, request: web.Request) -> Reply:
        account = self._ledger.accounts.get(request.query.get("client_id", ""))
        if account is None or not _knows_app(request, account):
            return login_error("Invalid app id or secret")
        name = str(uuid.uuid4())
        self._consents[name] = account.client_id, self._ledger.clock() + CONSENT_LIFE
        body = {"consentAppId": name, "consentAppStatus": "GENERATED", "status": "success"}
        return Reply(200, body)

    def consume(self, request: web.Request) -> Reply:
        """A token id counts once, and only together with the app that it was made for."""
        client_id, ends = self._token_ids.pop(request.query.get("tokenId", ""), ("", None))
        account = self._ledger.accounts.get(client_id)
        if account is None or ends is None or ends < self._ledger.clock():
            return login_error("Invalid token id")
        if not _knows_app(request, account):
            return login_error("Invalid app id or secret")
        return self._granted(account, APP)

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        """The broker's own page; pressing its button sends the browser back where it came from."""
        name = request.query.get("consentAppId", "")
        client_id, ends = self._consents.get(name, ("", None))
        if ends is None or ends < self._ledger.clock():
            return web.Response(status=400, text="This login is not known, or it is too old.")
        account = self._ledger.accounts[client_id]
        if request.method == "GET":
            page = PAGE.format(client=escape(client_id))
            return web.Response(text=page, content_type="text/html")
        if not account.access.redirect_url:
            return web.Response(status=400, text="No redirect URL is registered for this app.")
        del self._consents[name]
        token_id = str(uuid.uuid4())
        self._token_ids[token_id] = client_id, self._ledger.clock() + CONSENT_LIFE
        back = f"{account.access.redirect_url}?{urlencode({'tokenId': token_id})}"
        return web.Response(status=302, headers={"Location": back})

    def end_sockets_of_ended_tokens(self) -> None:
        """A token that is over takes its sockets along."""
        now = self._ledger.clock()
        for client_id in {client for feed in self._feeds for client in feed.counts()}:
            if self._ledger.accounts[client_id].access.is_over(now):
                self.end_sockets(client_id)

    def end_sockets(self, client_id: str) -> None:
        """The token that these sockets logged in with is over."""
        for feed in self._feeds:
            feed.disconnect(client_id, TOKEN_EXPIRED)

    def forget(self) -> None:
        """Tokens as at the start, and no login under way."""
        self._consents, self._token_ids = {}, {}
        for account in self._ledger.accounts.values():
            if account.token != account.first_token:
                self.end_sockets(account.client_id)
            account.let_in_as_at_first()
            self._let_first_token_live(account)
            self._ledger.save_account(account)

    def _let_first_token_live(self, account: Account) -> None:
        if self._first_life is not None and account.access.ends is None:
            account.access.ends = self._ledger.clock() + self._first_life

    def _granted(self, account: Account, made: str) -> Reply:
        token, ends = self._mint(account, made)
        body = {**_who(account), "accessToken": token, "expiryTime": expiry_text(ends)}
        return Reply(200, body)

    def _mint(self, account: Account, made: str) -> tuple[str, datetime]:
        now = self._ledger.clock()
        ends, number = now + self._life, self._ledger.next_number("token")
        account.token = new_token(account.client_id, ends, number, self._seed)
        account.access.made, account.access.ends = made, ends
        if made == PIN:
            account.access.minted_at = now.timestamp()
        self._ledger.save_account(account)
        self.end_sockets(account.client_id)
        return account.token, ends


class AuthApi:
    """The token service's own paths, outside /v2: no token is needed to ask for one."""

    def __init__(
        self, desk: TokenDesk, exchange: Exchange, faults: Faults, log: RequestLog
    ) -> None:
        self._desk = desk
        self._exchange = exchange
        self._faults = faults
        self._log = log

    def routes(self) -> list[web.RouteDef]:
        desk = self._desk
        return [
            self._route("POST", "/app/generateAccessToken", "generate_token", desk.generate),
            self._route("POST", "/app/generate-consent", "generate_consent", desk.ask_consent),
            self._route("GET", "/app/consumeApp-consent", "consume_consent", desk.consume),
            self._route("POST", "/app/consumeApp-consent", "consume_consent", desk.consume),
            web.get("/login/consentApp-login", desk.log_in),
            web.post("/login/consentApp-login", desk.log_in),
        ]

    def _route(
        self, method: str, path: str, endpoint: str, act: Callable[[web.Request], Reply]
    ) -> web.RouteDef:
        async def serve(request: web.Request) -> web.StreamResponse:
            moment = stamp(self._exchange.ledger.clock())
            visit = self._log.open(moment, request.method, request.path, endpoint)
            client = request.query.get("dhanClientId") or request.query.get("client_id")
            visit.client_id = client
            fault = self._faults.draw(endpoint, client)
            scene = Scene(request, lambda: act(request), self._exchange)
            return await carry_out(fault, visit, scene)

        return web.route(method, path, serve)


def _who(account: Account) -> dict[str, object]:
    return {
        "dhanClientId": account.client_id,
        "dhanClientName": "JOHN DOE",
        "dhanClientUcc": "ABCD12345E",
        "givenPowerOfAttorney": False,
    }


def _knows_app(request: web.Request, account: Account) -> bool:
    given = request.headers.get("app_id"), request.headers.get("app_secret")
    return given == (account.access.app_id, account.access.app_secret)
