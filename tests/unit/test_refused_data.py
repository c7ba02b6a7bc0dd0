"""A database that refused to make its data, or to serve it beside the instance."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack import Postgres
from stack.commands.up import up
from stack.engines import ENGINES
from stack.errors import StackError
from stack.progress import Silence
from stack.settings import Settings
from stack.state import State
from stack.workflow import converge
from stack.workflow.access import DataAccess
from tests.unit.fake_engine import FakeEngine, World

DIFFERS = "stackctl: its image has PostgreSQL 18, and version=17 is declared"


@pytest.mark.parametrize(("code", "recorded"), [("image-differs", set()), ("not-ready", {"db"})])
def test_what_was_not_made_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, recorded: set[str]
) -> None:
    file = tmp_path / "shop.py"
    file.write_text('from stack import Postgres, Stack\nstack = Stack("shop", [Postgres("db", version=17)])\n')
    settings = Settings(file, None, tmp_path / "state", "compose", tmp_path / "registry")

    def refused(*arguments: object, **named: object) -> None:
        world.components.clear()
        raise StackError(code, DIFFERS)

    world = World()
    monkeypatch.setitem(ENGINES, "compose", lambda instance, **_: FakeEngine(world, instance))
    monkeypatch.setattr(converge, "await_ready", refused)
    with pytest.raises(StackError):
        up(settings, Silence())
    assert set(State(tmp_path / "state" / "shop").applied().data) == recorded


class BesideEngine(FakeEngine):
    """An engine whose server beside the instance ends with this output."""

    output = ""

    @contextlib.contextmanager
    def offline(self, component: str, serve: Any) -> Iterator[Any]:
        raise StackError(serve.failure.code, serve.failure.message, serve.failure.hint, self.output)
        yield


@pytest.mark.parametrize(
    ("output", "code", "message"),
    [
        (
            DIFFERS,
            "image-differs",
            "PostgreSQL was not started: its image has PostgreSQL 18, and version=17 is declared",
        ),
        ('FATAL:  unrecognized configuration parameter "wrk_mem"', "setting-refused", "PostgreSQL does not start with"),
        ("it has no luck", "database-failed", "a PostgreSQL beside the instance did not start"),
    ],
)
def test_a_server_beside_an_instance_tells_its_cause(output: str, code: str, message: str) -> None:
    db = Postgres("db")
    engine = BesideEngine.__new__(BesideEngine)
    engine.output = output
    with pytest.raises(StackError) as raised, DataAccess(engine, "db").offline(db.serve("container")):
        pass
    assert raised.value.code == code
    assert raised.value.message.startswith(message)
    assert raised.value.output == output
    assert raised.value.hint
