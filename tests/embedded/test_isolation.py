"""Root's instances keep what is theirs from each other: each runs as a user of its own."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import Postgres, Redis, Stack
from stack.engines.embedded import accounts
from stack.engines.embedded.accounts import OWN_USERS, run_as_of
from tests.cli import eventually
from tests.embedded.running import Running, app, is_well, running
from tests.servers import MISSING

pytestmark = [
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
    pytest.mark.skipif(os.geteuid() != 0, reason="a plain user's instances run as that user"),
]
# Prints which of the files can be read, which folders be listed, and which processes be signalled.
PROBE = """
import json, os, pathlib, sys
def can(ask, each):
    try:
        ask(each)
    except OSError:
        return False
    return True
asked = json.loads(sys.argv[1])
files = [path for path in asked["files"] if can(lambda path: open(path).close(), path)]
folders = [path for path in asked["folders"] if can(os.listdir, path)]
processes = [number for number in asked["processes"] if can(lambda number: os.kill(number, 0), number)]
print(json.dumps(files + folders + processes))
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    """An instance with secrets, and one whose app uses nothing."""
    folder = tmp_path_factory.mktemp("pair")
    with running(folder) as rich, running(folder) as spy:
        db, cache = Postgres("db"), Redis("cache")
        rich.stack = Stack("rich", [app(Path(__file__).parent), db, cache])
        spy.stack = Stack("spy", [app(Path(__file__).parent)])
        for one in (rich, spy):
            one.engine.apply()
            eventually(lambda one=one: is_well(one) and one.engine.session("web").run(["true"]).ok)  # type: ignore[misc]
        eventually(lambda: (rich.home.data("db") / "postmaster.pid").exists())
        yield rich, spy


def reached(by: Running, of: Running) -> set[str | int]:
    """What the app of one instance can read, list or signal of an instance."""
    home, processes = of.home, of.processes()
    files = [home.secret("db_password"), home.secret("cache_password"), home.file("db", "pgpass"), home.configuration]
    files += [Path(f"/proc/{number}/environ") for number in processes]
    folders = [home.folder, home.secrets, home.data("db")]
    asked = {"files": [*map(str, files)], "folders": [*map(str, folders)], "processes": processes}
    answer = by.engine.session("web").run(["python3", "-c", PROBE, json.dumps(asked)])
    assert answer.ok, answer
    return set(json.loads(answer.stdout))


def test_an_app_reads_and_signals_nothing_of_another_instance(pair: tuple[Running, Running]) -> None:
    rich, spy = pair
    assert reached(spy, rich) == set()
    own = reached(rich, rich)
    assert {str(rich.home.secret("db_password")), str(rich.home.file("db", "pgpass")), rich.process("db")} <= own


def test_each_instance_has_a_user_that_has_a_name_in_it_alone(pair: tuple[Running, Running]) -> None:
    owners = {one.home.folder.stat().st_uid for one in pair}
    assert len(owners) == 2
    assert owners <= set(OWN_USERS)
    for one in pair:
        assert one.engine.session("web").run(["id", "-un"]).stdout == "stackctl\n"
        assert one.engine.session("web").run(["sh", "-c", "echo x >> /etc/passwd"]).exit_code != 0
    assert "stackctl" not in Path("/etc/passwd").read_text(encoding="utf-8")


def test_an_instance_gets_a_user_of_its_own_and_keeps_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an earlier stackctl made it, or a machine that allows no private view of files."""
    with running(tmp_path) as one, monkeypatch.context() as refusing:
        refusing.setattr(accounts, "why_shared", lambda: "no mounts")
        one.up()
        count = one.visit()
        assert not run_as_of(one.home.folder).own  # type: ignore[union-attr]
        (notice,) = one.engine.notices()
        assert "can read each other's secrets" in notice
        before = one.engine.fields()["db"]

        refusing.undo()
        assert one.engine.fields()["db"] != before
        one.up()
        assert run_as_of(one.home.folder).own  # type: ignore[union-attr]
        assert one.engine.notices() == ()
        files = [one.home.folder, one.home.secrets, one.home.log("web"), one.home.data("db") / "PG_VERSION"]
        assert len({path.stat().st_uid for path in files}) == 1
        assert one.visit() == count + 1
        database = one.stack["db"]
        assert isinstance(database, Postgres)
        assert one.engine.session("db").run(database.query("SELECT 1")).ok, "without a password"


def test_a_user_is_chosen_once_and_by_no_two_instances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "ROOT_HOMES", tmp_path)
    monkeypatch.setattr(accounts, "OWN_USERS", range(OWN_USERS[0], OWN_USERS[0] + 3))
    owners = []
    for name in ("one", "two", "three"):
        accounts.make_home(tmp_path / name)
        owners.append((tmp_path / name).stat().st_uid)
    assert len(set(owners)) == 3
    accounts.make_home(tmp_path / "one")
    assert (tmp_path / "one").stat().st_uid == owners[0]


def test_a_move_that_was_cut_off_is_done_again_and_takes_no_file_of_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "ROOT_HOMES", tmp_path)
    nobody = pwd.getpwnam("nobody").pw_uid
    (tmp_path / "roots").touch()
    home = tmp_path / "home"
    home.mkdir()
    (home / "link").symlink_to(tmp_path / "roots")
    (home / "second-name").hardlink_to(tmp_path / "roots")
    for name, owner in (("moved", OWN_USERS[-1]), ("left", nobody), ("link", nobody)):
        (home / name).touch()
        os.chown(home / name, owner, owner, follow_symlinks=False)
    os.chown(home, nobody, nobody)

    accounts.give_own_user(home)
    owner = home.stat().st_uid
    assert owner in OWN_USERS
    assert {path.name: path.lstat().st_uid for path in home.iterdir()} == {
        "moved": owner, "left": owner, "link": owner, "second-name": 0
    }  # fmt: skip
    assert (tmp_path / "roots").stat().st_uid == 0
