"""A real Chromium and a real web process, on the test's database."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from django.db import connection
from playwright.sync_api import expect, sync_playwright

from tests.desk.conftest import (  # noqa: F401 - fixtures of the desk's tests
    PASSWORD,
    account,
    bracket,
    desk_switch,
    new_order,
    operator,
    owner,
    reliance,
    sliced,
    story,
    viewer,
)

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Playwright's own loop runs in this thread; the tests' queries are in between, never inside it.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def chromium():
    """Debian's Chromium; installed when it is missing and we may."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "chromium"], check=False, timeout=600)
        found = shutil.which("chromium")
    if found is None:
        pytest.fail("Chromium is missing: run  apt-get install chromium  and try again")
    return found


@contextmanager
def running_chromium():
    """While it runs, this thread has a running loop: asyncio.run() fails beside it."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="package")
def browser():
    with running_chromium() as running:
        yield running


@pytest.fixture(scope="session")
def static_root(tmp_path_factory):
    where = tmp_path_factory.mktemp("static")
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity=0"],
        cwd=ROOT,
        env=os.environ | {"STATIC_ROOT": str(where)},
        check=True,
        timeout=120,
    )
    return where


class Web:
    """The web process; it can be killed and started again at the same address."""

    def __init__(self, static_root):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        server = os.environ["DATABASE_URL"].rpartition("/")[0]
        database = f"{server}/{connection.settings_dict['NAME']}"
        self.env = os.environ | {"DATABASE_URL": database, "STATIC_ROOT": str(static_root)}
        self.log = (static_root.parent / "web.log").open("ab")
        self.process = None

    def start(self):
        command = ["-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, *command, "tradingops.asgi:application"],
            cwd=ROOT,
            env=self.env,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                requests.get(f"{self.url}/healthz", timeout=2)
                return
            except requests.RequestException:
                time.sleep(0.1)
        pytest.fail("the web process did not start")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        self.log.close()


@pytest.fixture
def web(transactional_db, static_root):
    server = Web(static_root)
    server.start()
    yield server
    server.close()


def fill_in(page, name, password=PASSWORD):
    """The form of the sign-in page."""
    page.fill("[name=username]", name)
    page.fill("[name=password]", password)
    page.click("button[type=submit]")


def live(page):
    """Wait until the page says that it is live, and mark it, to see whether it was reloaded."""
    expect(page.locator("#desk-state")).to_have_attribute("data-state", "live", timeout=8000)
    page.evaluate("window.neverReloaded = true")


@pytest.fixture
def sign_in(browser, web):
    """Pages of a signed-in person, in a window of the wanted size."""
    contexts = []

    def enter(name, width=1440, scheme="light", first="/admin/live/"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, base_url=web.url
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.goto(first)
        fill_in(page, name)
        page.wait_for_url(f"**{first}")
        return page

    yield enter
    for context in contexts:
        context.close()
