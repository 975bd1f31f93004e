"""python -m supervisor ..., apart from run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.__main__ import main
from supervisor.errors import HouseError
from supervisor.keys import write_env
from supervisor.lock import only_one
from supervisor.places import SHORT_TOP, Places
from supervisor.reset import reset
from supervisor.throwaway import Throwaway
from tests.supervisor.conftest import CHECKOUT, until

WITH_SERVICES = [sys.executable, "-m", "supervisor", "with-services", "--"]


def test_with_services_gives_the_command_servers_and_returns_its_code(tmp_path):
    script = "env > seen; exit 7"
    done = subprocess.run(
        [*WITH_SERVICES, "sh", "-c", f"cd {tmp_path}; {script}"], cwd=CHECKOUT, check=False
    )
    assert done.returncode == 7
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    assert seen["DATABASE_URL"] != os.environ["DATABASE_URL"]
    assert not Path(seen["TRADINGOPS_THROWAWAY"]).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_with_services_leaves_no_server_behind(tmp_path, number):
    script = f"echo $TRADINGOPS_THROWAWAY > {tmp_path}/half; mv {tmp_path}/half {tmp_path}/top"
    asked = subprocess.Popen([*WITH_SERVICES, "sh", "-c", f"{script}; sleep 60"], cwd=CHECKOUT)
    until((tmp_path / "top").exists)
    top = (tmp_path / "top").read_text().strip()
    asked.send_signal(number)
    asked.wait(10)
    until(lambda: not _working_below(top), seconds=5)
    services = Throwaway()
    services.start()
    services.stop()
    assert not Path(top).exists()


def test_a_usage_line_answers_nonsense(capsys):
    assert main(["fly"]) == 2
    assert "usage: python -m supervisor run" in capsys.readouterr().err


def test_another_directory_may_hold_the_house(tmp_path, capsys):
    write_env(tmp_path / "run.env", {"PORT": "8001"})
    assert main(["env", "--var", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "export PORT=8001\n"
    assert main(["reset", "--var", str(tmp_path)]) == 0
    assert not tmp_path.exists()


def test_reset_refuses_while_the_house_runs(tmp_path):
    places = Places(tmp_path)
    places.prepare()
    with only_one(places), pytest.raises(HouseError, match="runs already"):
        reset(places)
    assert places.var.exists()


def test_reset_forgets_everything(tmp_path):
    places = Places(tmp_path)
    places.prepare()
    (places.var / "secrets.env").write_text("SECRET_KEY=x\n")
    reset(places)
    assert not places.var.exists()


def _working_below(top: str) -> list[str]:
    assert top.startswith(str(SHORT_TOP))
    found = []
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        try:
            found.append(str(cwd.readlink()))
        except OSError:
            continue
    return [place for place in found if place.startswith(top)]
