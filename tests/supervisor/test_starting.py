"""From nothing to an open desk, or to a clear reason why not."""

from __future__ import annotations

import socket


def test_parts_start_in_the_order_of_the_list(desk):
    desk.open("one=once", "two=once", "three=sleep")
    assert desk.noted("started") == ["one", "two", "three"]


def test_the_person_reads_the_address_and_what_a_shown_part_said(desk):
    desk.open("accounts=once")
    assert f"http://localhost:{desk.port}/" in desk.said()
    assert "a secret for the operator" in desk.said()


def test_what_a_shown_part_said_is_in_no_log(desk):
    desk.open("accounts=once")
    assert (desk.root / "var/log/accounts.log").read_text() == ""


def test_a_part_that_dies_at_the_start_is_named_with_its_last_words(desk):
    assert desk.run("one=sleep", "disk=dies", "three=once") == 1
    assert "disk failed: exit code 3" in desk.said()
    assert "the disk is full" in desk.said()
    assert desk.processes() == {}


def test_a_step_that_fails_shows_its_last_twenty_lines_and_ends_the_start(desk):
    assert desk.run("one=sleep", "step=fails", "never=sleep") == 1
    assert "line 20\n" in desk.said()
    assert "line 19\n" not in desk.said()
    assert sorted(desk.noted("started")) == ["one", "step"]
    assert desk.processes() == {}


def test_a_busy_port_is_named_with_a_way_out_and_nothing_starts(desk):
    with socket.socket() as other:
        other.bind(("127.0.0.1", desk.port))
        other.listen()
        assert desk.run("one=sleep") == 2
    assert f"port {desk.port} is in use: choose another with PORT=" in desk.said()
    assert desk.noted("started") == []


def test_a_port_that_is_no_number_is_refused(desk):
    assert desk.run("one=sleep", PORT="web") == 2
    assert "PORT=web is no port" in desk.said()


def test_a_second_run_in_the_same_checkout_is_refused(desk):
    desk.open("one=sleep")
    first = desk.process
    assert desk.run("one=sleep") == 2
    assert f"runs already (process {first.pid})" in desk.said()
    assert first.poll() is None
    first.terminate()
    assert first.wait(10) == 0


def test_secrets_and_the_address_of_the_exchange_survive_a_restart(desk):
    kept = []
    for _ in range(2):
        desk.open("one=sleep")
        kept.append([(desk.root / "var" / n).read_text() for n in ("secrets.env", "ports.json")])
        desk.leave()
        (desk.root / "said").write_text("")
    assert kept[0] == kept[1]


def test_files_with_secrets_are_for_their_owner_only(desk):
    desk.open("accounts=once")
    for name in ("secrets.env", "run.env", "log/accounts.log"):
        assert (desk.root / "var" / name).stat().st_mode & 0o077 == 0


def test_the_log_of_the_run_before_is_put_aside(desk):
    for _ in range(2):
        desk.run("disk=dies")
    log = desk.root / "var/log/disk.log"
    assert log.read_text() == log.with_suffix(".log.1").read_text() == "the disk is full\n"
