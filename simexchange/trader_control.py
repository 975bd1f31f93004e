"""Kill switch and exit on profit or loss, as DhanHQ v2 answers them.

DhanHQ v2 documentation, trader's control page. What it does not say, and is our choice: a switch
that may not be turned is DH-903 (the broker's code for an account that does not meet its
requirements), turning it to where it stands already is a success, and limits must be above zero.
"""

from decimal import Decimal

from simexchange.guards import GROUPS, PnlExit
from simexchange.money import PAISA, read_rupees
from simexchange.replies import BAD_INPUT, RefusedError, Reply, account_error
from simexchange.sentry import Sentry
from simexchange.trading import Call

BUSY = account_error(
    "Kill Switch cannot be activated with open positions or pending orders. Close them and try."
)


class TraderControl:
    """The account holder's brakes at the broker."""

    def __init__(self, sentry: Sentry) -> None:
        self._sentry = sentry

    def turn_kill_switch(self, call: Call) -> Reply:
        """The documentation's text puts the word in a header, its example in the query."""
        word = call.query.get("killSwitchStatus") or call.headers.get("killSwitchStatus")
        if word not in {"ACTIVATE", "DEACTIVATE"}:
            raise RefusedError(BAD_INPUT)
        if word == "ACTIVATE" and self._sentry.is_busy(call.account):
            raise RefusedError(BUSY)
        self._sentry.kill(call.account, word == "ACTIVATE")
        told = f"Kill Switch has been successfully {word.lower()}d"
        return _switch(call, told)

    def kill_switch(self, call: Call) -> Reply:
        killed = call.account.guards.is_killed(self._sentry.today)
        return _switch(call, "ACTIVATE" if killed else "DEACTIVATE")

    def set_pnl_exit(self, call: Call) -> Reply:
        body = call.body
        groups, kills = body.get("productType"), body.get("enableKillSwitch", False)
        if not isinstance(groups, list) or not groups or not isinstance(kills, bool):
            raise RefusedError(BAD_INPUT)
        if any(name not in GROUPS for name in groups):
            raise RefusedError(BAD_INPUT)
        profit, loss = _limit(body.get("profitValue")), _limit(body.get("lossValue"))
        armed = PnlExit(self._sentry.today, profit, loss, groups, kills)
        self._sentry.arm(call.account, armed)
        return _told("ACTIVE", "P&L based exit configured successfully")

    def pnl_exit(self, call: Call) -> Reply:
        """`enable_kill_switch` as in the sample; the table next to it has `enableKillSwitch`."""
        armed = call.account.guards.exit_on(self._sentry.today)
        body = {
            "pnlExitStatus": "ACTIVE" if armed else "INACTIVE",
            "profit": f"{armed.profit if armed else 0:.2f}",
            "loss": f"{armed.loss if armed else 0:.2f}",
            "productType": armed.groups if armed else [],
            "enable_kill_switch": armed.kills if armed else False,
        }
        return Reply(200, body)

    def stop_pnl_exit(self, call: Call) -> Reply:
        self._sentry.disarm(call.account)
        return _told("DISABLED", "P&L based exit stopped successfully")


def _limit(value: object) -> Decimal:
    """Rupees, as a number or as text."""
    number = read_rupees(value)
    if number is None or number < PAISA:
        raise RefusedError(BAD_INPUT)
    return number


def _switch(call: Call, told: str) -> Reply:
    return Reply(200, {"dhanClientId": call.account.client_id, "killSwitchStatus": told})


def _told(status: str, message: str) -> Reply:
    return Reply(200, {"pnlExitStatus": status, "message": message})
