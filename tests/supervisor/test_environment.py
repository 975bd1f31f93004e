"""What the processes of the house, and a person beside them, find in the environment."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from supervisor.environment import (
    child_environment,
    exports,
    house_environment,
    load_into,
    persons_own,
)
from supervisor.keys import kept_secrets, new_secrets, read_env, write_env
from supervisor.parts import Plan
from supervisor.places import Places
from supervisor.postgres import Postgres
from tests.supervisor.conftest import address_in

STORES = {"DATABASE_URL": "postgres://ours", "REDIS_URL": "unix:///ours"}


def house(own: dict[str, str] | None = None, host: str = "127.0.0.1") -> dict[str, str]:
    plan = Plan(host, 8000, 20001, Path("/srv/var"), demo=True, postgres=None, valkey=None)
    return house_environment(own or {}, {"SECRET_KEY": "kept"} | STORES, plan)


@pytest.mark.parametrize("path", ["/srv/Desk/var/socket", "/srv/a+b/var", "/srv/50%/var"])
def test_database_url_keeps_the_path_of_the_socket_to_the_letter(path):
    url = Postgres(Path("/srv"), Path(path), Path("/usr/bin"), None).url
    address = {"dbname": "tradingops", "user": "tradingops", "host": path, "port": 5432}
    assert address_in(url) == address


def test_what_the_person_set_stays():
    assert house({"DATABASE_URL": "postgres://theirs"})["DATABASE_URL"] == "postgres://theirs"
    assert house()["DATABASE_URL"] == "postgres://ours"


def test_debug_is_off_and_live_trading_is_not_touched():
    assert house()["DEBUG"] == "False"
    assert "LIVE_TRADING" not in house()


def test_another_host_may_be_asked_for_by_its_name():
    assert house(host="desk.example")["ALLOWED_HOSTS"] == "localhost,127.0.0.1,desk.example"
    assert house()["ALLOWED_HOSTS"] == "localhost,127.0.0.1"


def test_a_pghost_of_the_shell_does_not_bend_the_way_to_our_server():
    assert "PGPORT" not in child_environment(house(), {"PGPORT": "6000"})
    theirs = {"PGPORT": "6000", "DATABASE_URL": "postgres://theirs"}
    assert child_environment(house(theirs), theirs)["PGPORT"] == "6000"


def test_the_exchange_is_never_asked_through_a_proxy():
    env = child_environment(house(), {"HTTP_PROXY": "http://proxy", "no_proxy": "intranet"})
    assert env["no_proxy"] == env["NO_PROXY"] == "intranet,localhost,127.0.0.1"


def test_the_shell_wins_over_dotenv(tmp_path):
    (tmp_path / ".env").write_text("# mine\nexport PORT=9000\nHOST='0.0.0.0'\n")
    own = persons_own(Places(tmp_path), {"PORT": "9001"})
    assert (own["PORT"], own["HOST"]) == ("9001", "0.0.0.0")


def test_load_into_fills_only_the_gaps(tmp_path):
    places = Places(tmp_path)
    places.var.mkdir()
    write_env(places.run_env, {"DATABASE_URL": "postgres://ours", "REDIS_URL": "unix:///ours"})
    environment = {"REDIS_URL": "unix:///theirs"}
    load_into(environment, places)
    assert environment == {"DATABASE_URL": "postgres://ours", "REDIS_URL": "unix:///theirs"}


def test_load_into_does_nothing_where_nothing_ran(tmp_path):
    environment: dict[str, str] = {}
    load_into(environment, Places(tmp_path))
    assert environment == {}


def test_exports_can_be_read_by_a_shell(tmp_path):
    places = Places(tmp_path)
    places.var.mkdir()
    write_env(places.run_env, {"DATABASE_URL": "postgres://a@/a?host=/x y&port=1"})
    script = f'eval {shlex.quote(exports(places))}; printf %s "$DATABASE_URL"'
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout == "postgres://a@/a?host=/x y&port=1"


def test_secrets_are_made_once_and_are_for_their_owner_only(tmp_path):
    path = tmp_path / "secrets.env"
    first = kept_secrets(path)
    assert kept_secrets(path) == first == read_env(path)
    assert path.stat().st_mode & 0o777 == 0o600
    Fernet(first["CREDENTIAL_KEYS"])


def test_a_secret_that_is_there_is_kept_when_another_is_added(tmp_path):
    path = tmp_path / "secrets.env"
    write_env(path, {"SECRET_KEY": "old"})
    assert kept_secrets(path)["SECRET_KEY"] == "old"
    assert "CREDENTIAL_KEYS" in read_env(path)


def test_two_checkouts_never_share_a_secret():
    assert not set(new_secrets().values()) & set(new_secrets().values())


def test_the_address_of_the_test_services_is_in_this_environment():
    assert os.environ["DATABASE_URL"].startswith("postgres://tradingops@:5432//")


def test_a_first_run_asks_for_no_second_factor_unless_the_person_wants_it():
    assert house()["REQUIRE_SECOND_FACTOR"] == "False"
    assert house({"REQUIRE_SECOND_FACTOR": "True"})["REQUIRE_SECOND_FACTOR"] == "True"
