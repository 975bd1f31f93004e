"""A master file over real HTTP: whole from the simulated exchange, or refused with the reason."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.db import transaction

from apps.brokers.dhan.master import DhanMaster
from apps.brokers.download import Downloaded, DownloadFailed, download, shown
from apps.brokers.importing import Wish, import_published, import_url
from apps.brokers.models import Instrument, InstrumentImport
from tests.brokers import stub
from tests.brokers.master_rows import ALL, RELIANCE, text_of
from tests.brokers.stub import Stub, answer, say, unused_port

pytestmark = pytest.mark.django_db(transaction=True)

WHOLE = text_of(ALL).encode()


@pytest.fixture
def published(exchange: Any, settings: Any) -> Any:
    """The desk's broker is the simulated exchange."""
    settings.SIMEXCHANGE_URL = exchange.url
    return exchange


@pytest.fixture
def make_stub() -> Iterator[Callable[..., Stub]]:
    """A broker of raw sockets."""
    with ExitStack() as stubs:
        yield lambda *acts: stubs.enter_context(Stub(*acts))


@pytest.fixture
def from_stub(make_stub: Callable[..., Stub]) -> Callable[..., tuple[Downloaded, bytes]]:
    """Fetch from one."""

    def fetch(*acts: Any, within: float = 5) -> tuple[Downloaded, bytes]:
        into = io.BytesIO()
        return download(f"{make_stub(*acts).url}/file.csv", into, within=within), into.getvalue()

    return fetch


@pytest.mark.parametrize("layout", DhanMaster.layouts)
def test_both_files_of_the_exchange_are_imported(published: Any, layout: str) -> None:
    row = import_published(Wish(layout=layout))
    assert (row.outcome, row.layout, row.rows) == ("APPLIED", layout, 14)
    assert (row.added, Instrument.objects.count()) == (14, 14)
    assert row.source.endswith(DhanMaster().address(layout).rpartition("/")[2])
    assert row.published_at is not None
    call = Instrument.objects.get(security_id="53103")
    assert (call.symbol, call.lot_size) == ("NIFTY-28DEC2027-24500-CE", 65)
    assert (call.freeze_quantity is None) == (layout == "compact")


def test_the_two_files_agree(published: Any) -> None:
    import_published(Wish(layout="detailed"))
    row = import_published(Wish(layout="compact"))
    assert (row.unchanged, row.changed, row.reused) == (14, 0, 0)


@pytest.mark.parametrize(
    ("fault", "options", "why"),
    [
        ("truncated", {}, "not fetched: cut short: "),
        ("garbage", {"accept": True}, "is no text"),
        ("garbage", {}, "column SECURITY_ID or"),
        ("html", {"status": 200}, "line 1: this is a web page"),
        ("html", {}, "not fetched: HTTP 502"),
        ("http_500", {}, "not fetched: HTTP 500"),
        ("http_429", {}, "not fetched: HTTP 429"),
        ("wrong_schema", {}, "the column is missing"),
        ("redirect_307", {}, "not fetched: HTTP 307"),
        ("drop_before_accept", {}, "not fetched: RemoteDisconnected"),
        ("hang", {"seconds": 3}, "not fetched: it did not arrive within 1 s"),
    ],
)
def test_a_fault_of_the_exchange_changes_nothing(
    published: Any, settings: Any, fault: str, options: dict[str, Any], why: str
) -> None:
    import_published(Wish())
    settings.INSTRUMENTS_WITHIN = 1
    before = list(Instrument.objects.values())
    published.fault(fault, "master", times=1, **options)
    row = import_published(Wish())
    assert row.outcome == "REFUSED"
    assert why in row.why
    assert list(Instrument.objects.values()) == before
    assert import_published(Wish()).outcome == "APPLIED"


def test_a_slow_file_comes_whole(published: Any) -> None:
    published.fault("slow", "master", times=1, seconds=0.2)
    assert import_published(Wish()).outcome == "APPLIED"


def test_the_address_of_the_setting_comes_first(settings: Any) -> None:
    settings.SIMEXCHANGE_URL = ""
    assert DhanMaster().address("compact") == (
        "https://images.dhan.co/api-data/api-scrip-master.csv"
    )
    settings.INSTRUMENT_URLS = {"dhan": "https://mirror.example/all.csv"}
    assert DhanMaster().address("detailed") == "https://mirror.example/all.csv"


def test_an_address_is_kept_without_what_is_secret_in_it() -> None:
    assert shown("https://me:word@host:1/a.csv?token=1") == "https://host:1/a.csv"
    row = import_url("ftp://me:word@host/a.csv?token=1", Wish())
    assert (row.source, "word" in row.why) == ("ftp://host/a.csv", False)
    assert "is no address such as https://host/path" in row.why


def test_nobody_there_is_said() -> None:
    row = import_url(f"http://127.0.0.1:{unused_port()}/a.csv", Wish())
    assert "not fetched: ConnectionRefusedError" in row.why
    assert InstrumentImport.objects.get() == row


def test_a_whole_answer_is_stored_as_it_came(from_stub: Any) -> None:
    came, content = from_stub(
        answer(200, WHOLE, headers="Last-Modified: Tue, 08 Sep 2026 02:30:00 GMT\r\n")
    )
    assert (came.size, came.whole, content) == (len(WHOLE), True, WHOLE)
    assert came.published_at.isoformat() == "2026-09-08T02:30:00+00:00"


@pytest.mark.parametrize("cut", [0, 1, 1000, len(WHOLE) - 1])
def test_a_body_shorter_than_announced_is_no_file(from_stub: Any, cut: int) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(WHOLE)}\r\n\r\n".encode()
    with pytest.raises(DownloadFailed, match=f"cut short: {cut:,} of {len(WHOLE):,}"):
        from_stub(say(head + WHOLE[:cut]))


def test_a_chunked_body_without_its_end_is_no_file(from_stub: Any) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = f"{len(WHOLE):x}\r\n".encode() + WHOLE + b"\r\n"
    came, content = from_stub(say(head + chunk + b"0\r\n\r\n"))
    assert (came.whole, content) == (True, WHOLE)
    with pytest.raises(DownloadFailed, match="IncompleteRead"):
        from_stub(say(head + chunk))
    with pytest.raises(DownloadFailed, match="IncompleteRead"):
        from_stub(say(head + chunk[: len(chunk) // 2]))


def test_without_an_announced_length_the_last_line_must_end(from_stub: Any) -> None:
    came, _ = from_stub(say(b"HTTP/1.0 200 OK\r\n\r\n" + WHOLE))
    assert not came.whole


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (stub.drip, "it did not arrive within 0.4 s"),
        (stub.hang, "it did not arrive within 0.4 s"),
        (say(b"HTTP/1.1 200 OK\r\nX: "), "the answer is empty"),
        (answer(200), "the answer is empty"),
        (say(b"\x16\x03\x01 nonsense\r\n\r\n"), "BadStatusLine"),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx"), "ValueError|cut short"),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\nx"), "are allowed"),
        (say(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nx"), "packed with br"),
    ],
)
def test_what_is_no_honest_answer_is_no_file(from_stub: Any, act: Any, why: str) -> None:
    with pytest.raises(DownloadFailed, match=why):
        from_stub(act, within=0.4)


def test_more_than_is_allowed_is_not_stored(
    from_stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.brokers.download.MOST_BYTES", 1000)
    with pytest.raises(DownloadFailed, match="more than 1,000 bytes"):
        from_stub(say(b"HTTP/1.1 200 OK\r\n\r\n" + WHOLE))


def test_a_packed_body_is_unpacked_when_it_is_read(make_stub: Callable[..., Stub]) -> None:
    packed = gzip.compress(text_of([RELIANCE]).encode())
    whole = make_stub(answer(200, packed, headers="Content-Encoding: gzip\r\n"))
    assert import_url(f"{whole.url}/a.csv", Wish()).added == 1
    cut = make_stub(say(b"HTTP/1.0 200 OK\r\n\r\n" + packed[:-9]))
    assert "the packed file is broken" in import_url(f"{cut.url}/a.csv", Wish()).why


def test_nothing_is_fetched_inside_a_transaction() -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="inside a transaction"):
        download("http://127.0.0.1:9/a.csv", io.BytesIO(), within=1)


def test_a_certificate_of_nobody_is_not_trusted(tmp_path: Path) -> None:
    """A file from somebody else would name other contracts under the ids that we order."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer, suppress(OSError):
                context.wrap_socket(peer, server_side=True)

        threading.Thread(target=serve, daemon=True).start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}/a.csv"
        with pytest.raises(DownloadFailed, match="CERTIFICATE_VERIFY_FAILED"):
            download(url, io.BytesIO(), within=5)
