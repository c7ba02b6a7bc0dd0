"""Components of a group come and go with an option, and their data stays, is saved and is brought back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import Cli

STACK = """\
from stack import Container, Postgres, Stack

RUN = ["sleep", "1000"]
web = Container("web", image="python:3.14-slim", command=RUN, process=RUN)
orders = Postgres("orders")
admin = Container(
    "admin", image="python:3.14-slim", command=RUN, process=RUN, volumes={"notes": "/notes"}, uses=[orders]
)
viewer = Container("viewer", image="python:3.14-slim", command=RUN)
stack = Stack("grouped", [web, orders, admin, viewer], groups={"tools": [orders, admin], "pictures": [viewer]})
"""


class Grouped(Cli):
    """The command line for an instance of that stack."""

    def components(self, *words: str) -> list[str]:
        return [*self.data("up", *words)["components"]]

    def shell(self, component: str, *command: str) -> str:
        return self.ok("exec", component, "--", *command).stdout

    def sql(self, statement: str) -> str:
        return self.ok("shell", "--write", "orders", stdin=statement).stdout


@pytest.mark.long
def test_a_group_comes_and_goes_and_keeps_its_data(engine: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "grouped.py").write_text(STACK)
    cli = Grouped(tmp_path, file=tmp_path / "grouped.py", engine=engine)
    try:
        # What is off needs no form on this engine.
        assert cli.components() == ["web"]
        refused = cli.run("--json", "exec", "admin", "--", "true").error
        assert refused["message"] == "'admin' is in the group 'tools', which is off"
        assert cli.components("--with", "tools") == ["web", "orders", "admin"]
        cli.sql("CREATE TABLE kept AS SELECT 42 AS number")
        cli.shell("admin", "sh", "-c", 'echo kept > "${VOLUME_NOTES:-/notes}/note"')
        assert cli.data("up")["changed"] is False, "a group stays on"

        assert cli.components("--without", "tools") == ["web"]
        there = cli.data("plan")
        assert (there["changes"], there["groups"]) == (False, {"tools": False, "pictures": False})
        assert [each["holds"] for each in there["data"]] == ["its group tools is off"] * 2
        assert cli.data("up")["changed"] is False
        assert sorted(cli.data("snapshot", "save")["components"]) == ["admin", "orders"]
        cli.ok("reset", "--yes")
        cli.ok("undo", "--yes")
        assert cli.components("--with", "tools") == ["web", "orders", "admin"]
        assert "42" in cli.sql("SELECT number FROM kept")
        assert cli.shell("admin", "sh", "-c", 'cat "${VOLUME_NOTES:-/notes}/note"') == "kept\n"

        if engine == "embedded":
            failed = cli.run("--json", "up", "--with", "pictures").error
            assert (failed["code"], "grouped/viewer" in failed["message"]) == ("declaration-invalid", True)
            assert cli.data("up")["changed"] is False, "what failed is not remembered"
    finally:
        cli.reset()
