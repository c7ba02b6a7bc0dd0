"""A user of a machine is made while root's instances run: the users of their servers find their names again.

Their mount namespaces have a copy of `/etc/passwd`, which the kernel drops as `useradd` replaces that file. So would
every other instance of this machine lose its own: `test_names.py` runs these tests where `/etc` is theirs.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from pathlib import Path

from stack import Postgres, Stack
from tests.cli import eventually
from tests.embedded.running import app, is_well, running


def test_a_user_keeps_its_name_when_users_of_the_machine_change(tmp_path: Path) -> None:
    """As `useradd` replaces the files: the kernel then drops what the instance has bound over them."""
    with running(tmp_path) as one:
        db = Postgres("db")
        one.stack = Stack("named", [db])
        one.up()
        server = one.process("db")
        replace("/etc/passwd")
        assert one.engine.session("db").run(db.query("SELECT 1")).ok, "the server asks for the name of its client"
        replace("/etc/passwd")
        replace("/etc/group")
        assert one.engine.session("db").run(["id", "-gn"]).stdout == "stackctl\n"
        assert one.process("db") == server
        assert "stackctl" not in Path("/etc/passwd").read_text(encoding="utf-8")


def test_a_crashed_server_starts_again_without_the_name_of_its_user(tmp_path: Path) -> None:
    """Nothing gives it back until the next command: the supervisor alone starts it."""
    with running(tmp_path) as one:
        one.stack = Stack("named", [Postgres("db")])
        one.up()
        log, ready = one.home.log("db"), "ready to accept connections"
        starts = log.read_text().count(ready)
        replace("/etc/passwd")
        os.kill(one.process("db"), signal.SIGQUIT)
        eventually(lambda: log.read_text().count(ready) > starts, within=20)


def test_a_new_database_finds_the_name_of_its_user_again(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        one.stack = Stack("named", [app(Path(__file__).parent)])
        one.engine.apply()
        replace("/etc/passwd")
        one.stack = Stack("named", [app(Path(__file__).parent), Postgres("db")])
        one.engine.apply()
        eventually(lambda: is_well(one))
        assert one.states() == {"web": "running", "db": "running"}, "initdb asks for the name"


def test_a_name_that_is_lost_while_a_first_start_goes_on_is_found_again(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        one.stack = Stack("named", [Postgres("db")])
        one.engine.apply()
        replace("/etc/passwd")
        eventually(lambda: one.observe().components["db"].health == "healthy", within=30)


def replace(path: str) -> None:
    """Put a copy in the place of a file, under the lock that `useradd` takes too."""
    copy = Path(f"{path}.stackctl-test")
    with open("/etc/.pwd.lock", "w", encoding="utf-8") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        shutil.copy2(path, copy)
        copy.replace(path)
