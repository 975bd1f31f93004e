"""Control of who is let in under /_sim/: accounts, tokens, logins, addresses."""

from datetime import timedelta
from decimal import Decimal

from aiohttp import web

from simexchange.access import APP, PIN, WEB
from simexchange.accounts import Account
from simexchange.asking import Asked, BadControlError, route
from simexchange.ledger import Ledger
from simexchange.money import ZERO
from simexchange.tokens import TokenDesk

OPENING_BALANCE = Decimal(1_000_000)
LOGIN_FIELDS = ("pin", "totp_secret", "app_id", "app_secret", "redirect_url")


class AccessControl:
    """Adds accounts, and changes what lets them in."""

    def __init__(self, ledger: Ledger, desk: TokenDesk) -> None:
        self._ledger = ledger
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [
            route("POST", "accounts", self._add_account),
            route("POST", "token", self._token),
            route("POST", "login", self._login),
            route("POST", "address", self._address),
        ]

    def _add_account(self, asked: Asked, request: web.Request) -> object:
        asked.only("client_id", "token", "balance")
        client_id, token = asked.text("client_id"), asked.text("token")
        if client_id in self._ledger.accounts:
            raise BadControlError(f"client_id: {client_id} is there already")
        self._check_token(token)
        balance = asked.number("balance", ZERO)
        account = Account(client_id, token, OPENING_BALANCE if balance is None else balance)
        self._ledger.save_account(account)
        return {"client_id": client_id}

    def _token(self, asked: Asked, request: web.Request) -> object:
        """Another token ends the old one at once, and with it the sockets that used it.

        Without `token` the one in force stays, and only its end or its kind is changed.
        """
        asked.only("client_id", "token", "expires_in", "made")
        account = self._account(asked)
        token, seconds = asked.maybe_text("token"), asked.number("expires_in", ZERO)
        made = asked.choice("made", (WEB, PIN, APP), account.access.made)
        if token is not None:
            self._check_token(token)
            account.token = token
            self._desk.end_sockets(account.client_id)
        account.access.made = made
        if token is not None or seconds is not None:
            life = None if seconds is None else timedelta(seconds=float(seconds))
            account.access.ends = None if life is None else self._ledger.clock() + life
        self._ledger.save_account(account)
        return {"client_id": account.client_id}

    def _login(self, asked: Asked, request: web.Request) -> object:
        """What a login takes from now on."""
        asked.only("client_id", *LOGIN_FIELDS)
        account = self._account(asked)
        for name in LOGIN_FIELDS:
            if (value := asked.maybe_text(name)) is not None:
                setattr(account.access, name, value)
        self._ledger.save_account(account)
        return {"client_id": account.client_id}

    def _address(self, asked: Asked, request: web.Request) -> object:
        """Whether orders of this client are taken from where they come."""
        asked.only("client_id", "allowed")
        account = self._account(asked)
        account.access.address_allowed = asked.flag("allowed")
        self._ledger.save_account(account)
        return {"client_id": account.client_id, "allowed": account.access.address_allowed}

    def _account(self, asked: Asked) -> Account:
        account = self._ledger.accounts.get(asked.text("client_id"))
        if account is None:
            known = ", ".join(self._ledger.accounts)
            raise BadControlError(f"client_id: unknown; known are {known}")
        return account

    def _check_token(self, token: str) -> None:
        if self._ledger.account_for(token) is not None:
            raise BadControlError("token: already in use; each account needs its own")
