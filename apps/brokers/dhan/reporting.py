"""The reading door of DhanHQ: every read has its own journal row and its own budget slot."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import tenacity

from apps.brokers.budget import Budget, Priority
from apps.brokers.dhan.client import ReadClient
from apps.brokers.dhan.errors import complaint_in, meaning_of, read_failed
from apps.brokers.dhan.mapping import (
    address_from_body,
    approved_from_rows,
    fill_from_row,
    funds_from_body,
    holding_from_row,
    kill_switch_from_body,
    margin_arguments,
    margin_from_body,
    margin_row,
    margins_from_body,
    position_from_row,
    profile_from_body,
    quotes_from_body,
    reports_from_rows,
)
from apps.brokers.dhan.supers import reports_from_supers
from apps.brokers.dhan.words import SEGMENT_WORD
from apps.brokers.journal import close_call
from apps.brokers.models import BrokerAccount, CallOutcome, WireCall
from apps.brokers.port import (
    Address,
    BadWire,
    Fill,
    Funds,
    Holding,
    Known,
    Margin,
    NotSent,
    OrderReport,
    OrderRequest,
    Position,
    Profile,
    QuoteNews,
    ReadFailed,
    Segment,
)
from apps.brokers.slots import open_read
from apps.brokers.storable import clean_text
from apps.brokers.wire import Reply

T = TypeVar("T")
ATTEMPTS = 3
MOST_QUOTES = 1000  # in one call (market quote page)
PATIENCE = 4.0  # seconds after which no further attempt begins


class DhanReporting:
    """Reads of one account. ``retries=False`` makes one attempt, for a caller with a lock."""

    def __init__(self, account: BrokerAccount, *, retries: bool = True) -> None:
        self._account = account
        self._zone = ZoneInfo(account.stamp_zone)
        self._attempts = ATTEMPTS if retries else 1

    def __repr__(self) -> str:
        return f"<DhanReporting of {self._account}>"

    def order_book(self) -> Known[list[OrderReport]]:
        """All orders of the trading day (``GET /orders``, today only)."""
        return self._read("order book", lambda client: client.get_order_list(), self._reports)

    def super_orders(self) -> Known[list[OrderReport]]:
        """Every super order of the day, part by part (``GET /super/orders``, today only)."""

        def understand(body: Any) -> list[OrderReport]:  # noqa: ANN401 - JSON is any
            return reports_from_supers(_rows(body, "super orders"), self._zone)

        return self._read("super orders", lambda client: client.get_super_order_list(), understand)

    def order(self, broker_order_id: str) -> Known[OrderReport | None]:
        """One order of the day. Documented as an object, an array on the wire; [] is unknown.

        The array may hold target and stop as well, under the id of their entry.
        """

        def understand(body: Any) -> OrderReport | None:  # noqa: ANN401 - JSON is any
            reports = self._reports_of_one(body)
            found = [one for one in reports if one.broker_order_id == broker_order_id]
            if reports and not found:
                raise BadWire("order: orderId names another order")
            return found[0] if found else None

        shown_as = broker_order_id.partition("/")[0]
        return self._read("order", lambda client: client.get_order_by_id(shown_as), understand)

    def order_by_correlation(self, correlation_id: str) -> Known[OrderReport | None]:
        """One order of the day by our id; 404 DH-906 is "unknown or still in transit".

        Target and stop repeat the id of their entry, and are not the order that is asked for.
        """

        def understand(body: Any) -> OrderReport | None:  # noqa: ANN401 - JSON is any
            reports = self._reports_of_one(body)
            found = [one for one in reports if one.correlation_id == correlation_id]
            if reports and not found:
                raise BadWire("order: correlationId names another order")
            return found[0] if found else None

        return self._read(
            "order by correlation id",
            lambda client: client.get_order_by_correlationID(correlation_id),
            understand,
            absent=_unknown_correlation,
        )

    def trade_book(self) -> Known[list[Fill]]:
        """All trades of the day (``GET /trades``, today only)."""

        def understand(body: Any) -> list[Fill]:  # noqa: ANN401 - JSON is any
            return [
                fill_from_row(row, self._zone, f"trade book row {number}")
                for number, row in enumerate(_rows(body, "trade book"))
            ]

        return self._read("trade book", lambda client: client.get_trade_book(), understand)

    def positions(self) -> Known[list[Position]]:
        """The day's net positions, closed ones included."""

        def understand(body: Any) -> list[Position]:  # noqa: ANN401 - JSON is any
            return [
                position_from_row(row, f"positions row {number}")
                for number, row in enumerate(_rows(body, "positions"))
            ]

        return self._read("positions", lambda client: client.get_positions(), understand)

    def holdings(self) -> Known[list[Holding]]:
        """Delivered shares; HTTP 500 DH-1111 "No holdings available" is none (recorded)."""

        def understand(body: Any) -> list[Holding]:  # noqa: ANN401 - JSON is any
            return [
                holding_from_row(row, f"holdings row {number}")
                for number, row in enumerate(_rows(body, "holdings"))
            ]

        return self._read(
            "holdings", lambda client: client.get_holdings(), understand, absent=_no_holdings
        )

    def approved_deliveries(self) -> Known[dict[str, int]]:
        """Units approved by eDIS; documented as an object of one share, a list of all is taken."""

        def understand(body: Any) -> dict[str, int]:  # noqa: ANN401 - JSON is any
            rows = [body] if isinstance(body, dict) else _rows(body, "eDIS inquiry")
            return approved_from_rows(rows)

        return self._read("eDIS inquiry", lambda client: client.edis_inquiry("ALL"), understand)

    def funds(self) -> Known[Funds]:
        """Money available, rupees."""
        return self._read("funds", lambda client: client.get_fund_limits(), funds_from_body)

    def profile(self) -> Known[Profile]:
        """Who we are to the broker; the SDK's own call for it bypasses every transport."""
        return self._read("profile", lambda client: client.line.get("/profile"), profile_from_body)

    def kill_switch(self) -> Known[bool]:
        """Whether the account's kill switch is on (``GET /killswitch``)."""
        return self._read(
            "kill switch", lambda client: client.status_kill_switch(), kill_switch_from_body
        )

    def address(self) -> Known[Address]:
        """From where orders are taken (``GET /ip/getIP``); where it sees us is on the wire only."""
        return self._read("address", lambda client: client.line.get("/ip/getIP"), address_from_body)

    def quotes(self, wanted: Callable[[], Sequence[tuple[Segment, str]]]) -> Known[list[QuoteNews]]:
        """Up to 1000 instruments in one call; unknown ones are missing from a 200 (recorded)."""
        asked: list[tuple[Segment, str]] = []

        def ask(client: ReadClient) -> Reply:
            asked[:] = [key for key in wanted() if _is_number(key[1])][:MOST_QUOTES]
            by_segment: dict[str, list[int]] = {}
            for segment, security_id in asked:
                by_segment.setdefault(SEGMENT_WORD[segment], []).append(int(security_id))
            reply: Reply = client.quote_data(by_segment)
            return reply

        def understand(body: Any) -> list[QuoteNews]:  # noqa: ANN401 - JSON is any
            return quotes_from_body(body, asked)

        return self._read("quotes", ask, understand, budget=Budget.QUOTE)

    def margin(self, requests: Sequence[OrderRequest]) -> Known[Margin]:
        """One order by ``/margincalculator``, several by ``/margincalculator/multi``."""
        if len(requests) == 1:
            terms = margin_arguments(requests[0])
            return self._read(
                "margin",
                lambda client: client.margin_calculator(**terms),
                margin_from_body,
                priority=Priority.ENTRY,
            )
        rows = [margin_row(request) for request in requests]
        return self._read(
            "margins",
            lambda client: client.margin_calculator_multi(rows),
            margins_from_body,
            priority=Priority.ENTRY,
        )

    def _reports(self, body: object) -> list[OrderReport]:
        return reports_from_rows(_rows(body, "order book"), self._zone, "order book")

    def _reports_of_one(self, body: object) -> list[OrderReport]:
        rows = [body] if isinstance(body, dict) else _rows(body, "order")
        return reports_from_rows(rows, self._zone, "order")

    def _read(
        self,
        what: str,
        ask: Callable[[ReadClient], Reply],
        understand: Callable[[Any], T],
        *,
        budget: Budget = Budget.READ,
        priority: Priority = Priority.EXIT,
        absent: Callable[[Reply], bool] = lambda reply: False,
    ) -> Known[T]:
        """One read with its retries; only trouble that can pass by itself is retried."""

        def attempt() -> Known[T]:
            call = open_read(self._account, what, budget, priority)
            return _Attempt(call).run(ask, understand, absent)

        return tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts) | tenacity.stop_before_delay(PATIENCE),
            wait=tenacity.wait_random_exponential(multiplier=0.3, max=2),
            retry=tenacity.retry_if_exception(_passes),
            sleep=time.sleep,
            reraise=True,
        )(attempt)


class _Attempt:
    """One request of a read, written down to its end."""

    def __init__(self, call: WireCall) -> None:
        self._call = call
        self._client = ReadClient(call)

    def run(
        self,
        ask: Callable[[ReadClient], Reply],
        understand: Callable[[Any], T],
        absent: Callable[[Reply], bool],
    ) -> Known[T]:
        reply = ask(self._client)
        try:
            value = understand([] if absent(reply) else self._usable(reply))
        except ReadFailed as error:
            if error.kind == "token" and self._client.line.token_changed():
                error.transient = True  # it was replaced while the read was under way
            self._close(CallOutcome.FAILED, reply, text=str(error))
            raise
        self._close(CallOutcome.ANSWERED, reply, response=_summary(reply.body))
        return Known(value, self._call.created_at)

    def _usable(self, reply: Reply) -> Any:  # noqa: ANN401 - JSON is any
        complaint = complaint_in(reply.body)
        if complaint is not None:
            failure = read_failed(reply.status, complaint)
            failure.args = (self._client.line.scrubbed(str(failure)),)
            raise failure
        if reply.trouble is not None:
            kind = _kind(reply)
            transient = kind not in {"token", "access"}
            raise self._failed(reply.trouble.why, transient=transient, kind=kind)
        if reply.status != 200:
            meaning = meaning_of(reply.status, None)
            raise self._failed(
                f"HTTP {reply.status}", transient=meaning.transient, kind=meaning.kind
            )
        return reply.body

    def _failed(self, why: str, *, transient: bool, kind: str) -> ReadFailed:
        return ReadFailed(
            self._client.line.scrubbed(clean_text(why)), transient=transient, kind=kind
        )

    def _close(self, outcome: CallOutcome, reply: Reply, **columns: Any) -> None:  # noqa: ANN401
        close_call(self._call, outcome=outcome, http_status=reply.status, **columns)


def _passes(error: BaseException) -> bool:
    return isinstance(error, ReadFailed) and error.transient and error.kind != "budget"


def _kind(reply: Reply) -> str:
    """One word for an answer that cannot be used, or for none."""
    if reply.status is None:
        unsent = isinstance(reply.trouble, NotSent) and reply.trouble.about_session
        return "token" if unsent else "network"
    kind = meaning_of(reply.status, None).kind
    return "answer" if kind == "refused" else kind


def _unknown_correlation(reply: Reply) -> bool:
    complaint = complaint_in(reply.body)
    return (
        reply.status == 404
        and complaint is not None
        and complaint.code == "DH-906"
        and meaning_of(reply.status, complaint).kind == "refused"
    )


def _no_holdings(reply: Reply) -> bool:
    complaint = complaint_in(reply.body)
    return complaint is not None and meaning_of(reply.status, complaint).kind == "empty"


def _rows(body: object, what: str) -> list[Any]:
    if not isinstance(body, list):
        raise BadWire(f"{what} is not a list")
    return body


def _is_number(security_id: str) -> bool:
    return security_id.isascii() and security_id.isdigit()


def _summary(body: object) -> dict[str, int]:
    return {"rows": len(body) if isinstance(body, list) else 1}
