"""The market feed socket, heard with the SDK's own parser and with a bare client."""

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import websocket
from dhanhq import DhanContext, MarketFeed

from simexchange import market_feed, packets
from simexchange.book import Level
from simexchange.clock import IST
from simexchange.packets import Picture
from tests.simexchange.harness import (
    CLIENT,
    OTHER,
    OTHER_TOKEN,
    TOKEN,
    Hall,
    Server,
    eventually,
    payload,
)

TICKER, QUOTE, FULL = 15, 17, 21
SIZES = {2: 16, 4: 50, 5: 12, 6: 16, 7: 8, 8: 162, 50: 10}
FUTURE = ("NSE_FNO", "53001")


class Ear:
    """A connection to the market feed and the packets that it hears, one by one."""

    def __init__(self, server: Server, client_id: str = CLIENT, token: str = TOKEN) -> None:
        query = f"version=2&token={token}&clientId={client_id}&authType=2"
        url = server.url.replace("http", "ws") + f"/market-feed?{query}"
        self.socket = websocket.create_connection(url, timeout=3)
        self.waiting: list[bytes] = []

    def ask(self, code: int, *keys: tuple[str, str], count: int | None = None) -> None:
        rows = [{"ExchangeSegment": segment, "SecurityId": number} for segment, number in keys]
        body = {"RequestCode": code, "InstrumentCount": len(rows) if count is None else count}
        self.socket.send(json.dumps({**body, "InstrumentList": rows}))

    def frame(self) -> bytes:
        _, frame = self.socket.recv_data()
        return frame

    def hear(self) -> bytes:
        """The next packet; a frame may hold several."""
        if not self.waiting:
            frame = self.frame()
            while frame:
                length = struct.unpack_from("<h", frame, 1)[0]
                assert length == SIZES[frame[0]]
                self.waiting.append(frame[:length])
                frame = frame[length:]
        return self.waiting.pop(0)

    def is_quiet(self, seconds: float = 0.2) -> bool:
        self.socket.settimeout(seconds)
        try:
            self.socket.recv_data()
        except websocket.WebSocketTimeoutException:
            return True
        finally:
            self.socket.settimeout(3)
        return False

    def is_closed(self) -> bool:
        try:
            opcode, _ = self.socket.recv_data()
        except ConnectionError:  # gone before it could be told goodbye
            return True
        return opcode == websocket.ABNF.OPCODE_CLOSE


@pytest.fixture
def ear(server: Server) -> Iterator[Ear]:
    ear = Ear(server)
    assert ear.hear()[0] == packets.STATUS
    yield ear
    ear.socket.shutdown()


def pin(server: Server, price: float, key: tuple[str, str] = ("NSE_EQ", "2885")) -> None:
    server.sim("price", {"segment": key[0], "securityId": key[1], "price": price})


def last_price(packet: bytes) -> float:
    return struct.unpack_from("<f", packet, 8)[0]


def reason(packet: bytes) -> int:
    assert (packet[0], len(packet)) == (50, 10)
    return struct.unpack_from("<h", packet, 8)[0]


# ---- bytes


def constructed(name: str) -> tuple[bytes, dict]:
    row = payload(f"constructed-feed-{name}")
    return bytes.fromhex(row["hex"]), row["fields"]


def picture(hall: Hall, fields: dict, segment: str) -> Picture:
    """The picture that the constructed packet shows, where our packets can show it."""
    instrument = replace(
        next(iter(hall.ledger.instruments.values())),
        segment=segment,
        security_id=str(fields["securityId"]),
        close=Decimal(str(fields.get("close", 1))),
        lot=fields.get("ltq", 1),
    )
    rows = fields.get("depth", [])
    bids = tuple(Level(Decimal(str(r["bidPrice"])), r["bidQty"]) for r in rows)
    asks = tuple(Level(Decimal(str(r["askPrice"])), r["askQty"]) for r in rows)
    wall = datetime.fromtimestamp(fields["ltt"], UTC).replace(tzinfo=IST)
    return Picture(
        instrument,
        Decimal(str(fields["ltp"])),
        wall,
        *(Decimal(str(fields.get(name, 0))) for name in ("open", "high", "low")),
        fields.get("volume", 0),
        bids,
        asks,
    )


def test_a_ticker_packet_is_the_published_layout_byte_for_byte(hall: Hall) -> None:
    raw, fields = constructed("ticker")
    assert packets.ticker(picture(hall, fields, "NSE_EQ")) == raw


def test_a_quote_packet_is_the_published_layout_but_for_sums_and_average(hall: Hall) -> None:
    raw, fields = constructed("quote")
    ours = packets.quote(picture(hall, fields, "NSE_EQ"))
    assert (ours[:18], ours[22:26], ours[34:]) == (raw[:18], raw[22:26], raw[34:])


def test_a_full_packet_is_the_published_layout_but_for_what_we_have_not(hall: Hall) -> None:
    raw, fields = constructed("full")
    ours = packets.full(picture(hall, fields, "NSE_FNO"))
    assert len(ours) == len(raw)
    assert (ours[:18], ours[46:62]) == (raw[:18], raw[46:62])
    for number in range(5):
        row = slice(62 + 20 * number, 82 + 20 * number)
        theirs, mine = raw[row], ours[row]
        assert (mine[:8], mine[12:]) == (theirs[:8], theirs[12:])


def test_a_previous_close_is_the_published_layout_byte_for_byte(hall: Hall) -> None:
    raw, fields = constructed("prev-close")
    index = hall.ledger.instruments["IDX_I", "13"]
    shown = replace(index, close=Decimal(str(fields["prevClose"])))
    assert packets.previous_close(shown) == raw


# ---- the socket


def test_the_sdk_understands_every_packet_it_can_ask_for(server: Server, ear: Ear) -> None:
    pin(server, 1410)
    ear.ask(TICKER, ("NSE_EQ", "2885"))
    ear.ask(QUOTE, FUTURE)
    ear.ask(FULL, ("NSE_EQ", "11536"))
    sdk = MarketFeed(DhanContext(CLIENT, TOKEN), [], "v2")
    heard = {}
    while len(heard) < 4:
        read = sdk.process_data(ear.hear())
        heard[read["type"]] = read
    sdk.loop.close()
    assert heard["Ticker Data"]["LTP"] == "1410.00"
    assert heard["Quote Data"]["security_id"] == 53001
    assert heard["OI Data"]["security_id"] == 53001
    full = heard["Full Data"]
    assert (full["LTP"], full["close"], len(full["depth"])) == ("3345.80", "3345.80", 5)
    bid, ask = full["depth"][0]["bid_price"], full["depth"][0]["ask_price"]
    assert float(bid) < float(ask)


def test_an_index_is_told_its_previous_close(ear: Ear) -> None:
    ear.ask(TICKER, ("IDX_I", "13"))
    assert [ear.hear()[0], ear.hear()[0]] == [packets.PREVIOUS_CLOSE, packets.TICKER]


def test_a_step_of_the_price_is_told_to_who_asked_for_it(server: Server, ear: Ear) -> None:
    ear.ask(TICKER, ("NSE_EQ", "2885"))
    ear.hear()
    pin(server, 1390)
    assert last_price(ear.hear()) == 1390
    pin(server, 3300, ("NSE_EQ", "11536"))
    assert ear.is_quiet()


def test_the_walk_tells_all_that_moved_in_one_frame(server: Server, ear: Ear) -> None:
    keys = [("NSE_EQ", "2885"), ("NSE_EQ", "11536"), FUTURE]
    ear.ask(FULL, *keys)
    ear.frame()
    server.sim("walk", {"on": True})
    assert len(ear.frame()) == 3 * SIZES[8]


def test_what_is_unsubscribed_is_heard_no_more(server: Server, ear: Ear) -> None:
    ear.ask(FULL, ("NSE_EQ", "2885"), ("NSE_EQ", "11536"))
    ear.frame()
    ear.ask(22, ("NSE_EQ", "2885"))
    time.sleep(0.05)
    pin(server, 1390)
    pin(server, 3300, ("NSE_EQ", "11536"))
    assert struct.unpack_from("<i", ear.hear(), 4)[0] == 11536


def test_unknown_instruments_are_passed_over(ear: Ear) -> None:
    ear.ask(TICKER, ("NSE_EQ", "1"), ("NSE_EQ", "2885"))
    assert struct.unpack_from("<i", ear.hear(), 4)[0] == 2885
    assert ear.is_quiet()


@pytest.mark.parametrize(
    ("client_id", "token"), [(CLIENT, "wrong"), ("9", TOKEN), (CLIENT, OTHER_TOKEN), ("", "")]
)
def test_a_bad_login_is_told_and_closed(server: Server, client_id: str, token: str) -> None:
    ear = Ear(server, client_id, token)
    assert reason(ear.frame()) == 808
    assert ear.is_closed()


def test_an_address_of_another_version_is_no_socket(server: Server) -> None:
    url = server.url.replace("http", "ws")
    query = f"/market-feed?version=1&token={TOKEN}&clientId={CLIENT}&authType=2"
    with pytest.raises(websocket.WebSocketBadStatusException):
        websocket.create_connection(url + query, timeout=3)


def test_the_sixth_connection_ends_the_first(server: Server) -> None:
    eventually(lambda: CLIENT not in server.sim("report")["market_feed"])
    ears = [Ear(server) for _ in range(6)]
    assert ears[0].hear()[0] == packets.STATUS
    assert reason(ears[0].frame()) == 805
    assert ears[0].is_closed()
    other = Ear(server, OTHER, OTHER_TOKEN)
    for ear in (*ears[1:], other):
        assert ear.hear()[0] == packets.STATUS
    assert server.sim("report")["market_feed"][CLIENT]["connections"] == 5
    for ear in (*ears, other):
        ear.socket.shutdown()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("}", 814),
        ("[]", 814),
        ('{"RequestCode": 99, "InstrumentCount": 0, "InstrumentList": []}', 814),
        ('{"RequestCode": 15, "InstrumentCount": 1, "InstrumentList": []}', 814),
        (
            json.dumps(
                {
                    "RequestCode": 15,
                    "InstrumentCount": 101,
                    "InstrumentList": [{"ExchangeSegment": "NSE_EQ", "SecurityId": "1"}] * 101,
                }
            ),
            804,
        ),
    ],
)
def test_a_request_that_makes_no_sense_ends_the_connection(ear: Ear, text: str, code: int) -> None:
    ear.socket.send(text)
    assert reason(ear.frame()) == code
    assert ear.is_closed()


def test_asked_to_disconnect_it_closes(ear: Ear) -> None:
    ear.socket.send(json.dumps(payload("ws-feed-disconnect")))
    assert ear.is_closed()


def test_the_published_subscription_is_understood(server: Server, ear: Ear) -> None:
    ear.socket.send(json.dumps(payload("ws-feed-subscribe")))
    assert struct.unpack_from("<i", ear.hear(), 4)[0] == 1333
    assert server.sim("report")["market_feed"][CLIENT]["instruments"] == 1


def test_pings_are_answered(ear: Ear) -> None:
    ear.socket.ping("are you there")
    opcode, frame = ear.socket.recv_data(control_frame=True)
    while opcode == websocket.ABNF.OPCODE_PING:
        opcode, frame = ear.socket.recv_data(control_frame=True)
    assert (opcode, frame) == (websocket.ABNF.OPCODE_PONG, b"are you there")


def test_who_answers_no_ping_is_left(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a feed of our own, whose patience is short."""
    import asyncio

    from aiohttp import ClientSession, WSMsgType, web

    from simexchange.faults import Faults

    monkeypatch.setattr(market_feed, "PING_EVERY", 0.05)
    monkeypatch.setattr(market_feed, "ANSWER_WITHIN", 0.12)

    async def scenario() -> None:
        app = web.Application()
        app.add_routes([web.get("/", market_feed.MarketFeed(hall.exchange, Faults(1)).serve)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        query = {"version": "2", "authType": "2", "token": TOKEN, "clientId": CLIENT}
        async with ClientSession() as session:
            answering = await session.ws_connect(url, params=query)
            mute = await session.ws_connect(url, params=query, autoping=False)
            assert (await mute.receive()).type is WSMsgType.BINARY
            kinds = [(await mute.receive()).type]
            while kinds[-1] is WSMsgType.PING:
                kinds.append((await mute.receive()).type)
            assert kinds[-1] in {WSMsgType.CLOSE, WSMsgType.CLOSED}
            assert not answering.closed
        await runner.cleanup()

    asyncio.run(scenario())


# ---- what goes wrong


@pytest.fixture
def listening(server: Server, ear: Ear) -> Ear:
    ear.ask(TICKER, ("NSE_EQ", "2885"))
    ear.hear()
    return ear


def test_a_silenced_feed_answers_pings_and_says_nothing(server: Server, listening: Ear) -> None:
    server.sim("market_feed", {"action": "silence"})
    pin(server, 1390)
    assert listening.is_quiet()
    server.sim("market_feed", {"action": "resume"})
    pin(server, 1395)
    assert last_price(listening.hear()) == 1395


def test_a_frozen_feed_repeats_old_prices_of_an_old_time(server: Server, listening: Ear) -> None:
    pin(server, 1400)
    before = listening.hear()
    server.sim("market_feed", {"action": "freeze"})
    pin(server, 1390)
    assert listening.hear() == before
    server.sim("market_feed", {"action": "resume"})
    pin(server, 1391)
    assert last_price(listening.hear()) == 1391


@pytest.mark.parametrize("code", [805, 807])
def test_it_can_be_made_to_leave_with_a_reason(server: Server, listening: Ear, code: int) -> None:
    assert server.sim("market_feed", {"action": "disconnect", "reason": code}) == {
        "disconnected": 1
    }
    assert reason(listening.frame()) == code
    assert listening.is_closed()


def test_a_new_token_ends_the_connection(server: Server, listening: Ear) -> None:
    server.sim("token", {"client_id": CLIENT, "token": "token-new"})
    assert reason(listening.frame()) == 807
    server.sim("token", {"client_id": CLIENT, "token": TOKEN})


def spoilt(server: Server, listening: Ear, fault: str, **more: object) -> bytes:
    server.sim("faults", {"fault": fault, "times": 1, **more})
    pin(server, 1390)
    return listening.frame()


def test_spoilt_packets(server: Server, listening: Ear) -> None:
    garbled = spoilt(server, listening, "garbled_packets")
    assert struct.unpack_from("<h", garbled, 1)[0] == 7
    assert len(spoilt(server, listening, "cut_packets")) == SIZES[2] - 5
    assert spoilt(server, listening, "unknown_packets")[0] == 99
    assert round(last_price(spoilt(server, listening, "off_tick_packets")), 3) == 1390.013


def test_a_dropped_frame_never_comes(server: Server, listening: Ear) -> None:
    server.sim("faults", {"fault": "dropped_packets", "times": 1})
    pin(server, 1390)
    pin(server, 1391)
    assert last_price(listening.hear()) == 1391


def test_a_fault_may_close_the_feed_of_one_client(server: Server, listening: Ear) -> None:
    fault = {"fault": "market_feed_disconnect", "client_id": CLIENT, "status": 806}
    assert reason(spoilt(server, listening, **fault)) == 806
