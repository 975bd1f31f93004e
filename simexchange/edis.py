"""Approval of the delivery of held shares (eDIS), and the depository's page that gives it.

DhanHQ v2 documentation, EDIS page. Its sample of an inquiry shows one share only: that ALL is
answered by a list, and the words for what is not approved, are our choice.
"""

from datetime import date
from html import escape
from itertools import count
from typing import Any

from aiohttp import web

from simexchange.accounts import Account
from simexchange.holdings import Holding
from simexchange.ledger import Ledger
from simexchange.money import read_rupees
from simexchange.replies import BAD_INPUT, RefusedError, Reply
from simexchange.trading import Call

FORM = (
    "<!DOCTYPE html> <html> <script>window.onload= function() {{submit()}};function submit(){{ "
    'document.getElementById("submitbtn").click(); }} </script><body onload="submit()"> '
    '<form name="frmDIS" method="post" action="{base}/eDIS/VerifyDIS/"> '
    '<input type= "hidden" name= "DPId" value= "83400" > '
    '<input type= "hidden" name= "ReqId" value= "{request}" > '
    '<input type= "hidden" name= "Version" value= "1.1" > '
    '<input type= "hidden" name= "TransDtls" value= "{details}" > '
    '<input style="display: none;" id="submitbtn" type= "submit" value="Submit"> '
    "</form> </body> </html>"
)
PAGE = """<!doctype html><title>Depository</title>
<meta name="viewport" content="width=device-width"><h1>Simulated depository</h1><p>{told}</p>"""


class Edis:
    """Forms under way, and what they approve."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._numbers = count(1)
        self._forms: dict[str, tuple[Account, dict[str, int]]] = {}

    @property
    def today(self) -> date:
        return self._ledger.clock().date()

    def tpin(self, call: Call) -> Reply:
        """Nothing is sent to anybody; 202 without a body, as documented."""
        return Reply(202, None)

    def form(self, call: Call) -> Reply:
        """One share, or all that are held when `bulk` is true."""
        held = {self._isin(each): each for each in call.account.holdings.values()}
        if call.body.get("bulk") is True:
            wanted = {isin: each.quantity for isin, each in held.items()}
        else:
            isin, quantity = str(call.body.get("isin", "")), read_rupees(call.body.get("qty"))
            if isin not in held or quantity is None or not 1 <= quantity <= held[isin].quantity:
                raise RefusedError(BAD_INPUT)
            wanted = {isin: int(quantity)}
        request = f"2919510{next(self._numbers):08d}"
        self._forms[request] = call.account, wanted
        details = escape(";".join(f"{isin}={units}" for isin, units in wanted.items()))
        html = FORM.format(base=call.base, request=request, details=details)
        return Reply(200, {"dhanClientId": call.account.client_id, "edisFormHtml": html})

    def inquire(self, call: Call) -> Reply:
        held = {self._isin(each): each for each in call.account.holdings.values()}
        isin = call.params["isin"]
        if isin == "ALL":
            return Reply(200, [self._row(call.account, each) for each in held.values()])
        if isin not in held:
            raise RefusedError(BAD_INPUT)
        return Reply(200, self._row(call.account, held[isin]))

    def approve(self, account: Account, isin: str, units: int) -> None:
        """As if the depository had been given the T-PIN: today so many units may leave."""
        account.delivery.approve(isin, units, self.today)
        self._ledger.save_account(account)

    async def depository(self, request: web.Request) -> web.Response:
        """Where the form leads. It asks for no T-PIN: whoever sends the form approves."""
        asked = await request.post()
        account, wanted = self._forms.pop(str(asked.get("ReqId")), (None, {}))
        if account is None:
            return _page(400, "This request is unknown or was answered already.")
        for isin, units in wanted.items():
            self.approve(account, isin, units)
        listed = ", ".join(f"{units} of {isin}" for isin, units in wanted.items())
        return _page(200, f"Approved for today: {escape(listed)}.")

    def _row(self, account: Account, holding: Holding) -> dict[str, Any]:
        isin = self._isin(holding)
        approved = account.delivery.approved_on(isin, self.today)
        done = ("SUCCESS", "eDIS transaction done successfully")
        status, remarks = done if approved else ("PENDING", "eDIS transaction is not done")
        return {
            "clientId": account.client_id,
            "isin": isin,
            "totalQty": holding.quantity,
            "aprvdQty": approved,
            "status": status,
            "remarks": remarks,
        }

    def _isin(self, holding: Holding) -> str:
        return self._ledger.instruments[holding.key].isin


def _page(status: int, told: str) -> web.Response:
    return web.Response(status=status, text=PAGE.format(told=told), content_type="text/html")
