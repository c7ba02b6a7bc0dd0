"""Which migrations are still to be applied, and which are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack.components.postgres.schema import PostgresSchema
from stack.engines import ENGINES
from stack.errors import DeclarationError, StackError
from stack.migrations import Migration, pending, read_migrations
from stack.progress import Silence
from stack.settings import Settings
from stack.workflow import preparing
from stack.workflow.journal import Journal
from stack.workflow.opening import change
from stack.workflow.planning import compute_plan
from tests.unit.fake_engine import FakeEngine, World

FIRST, SECOND, TENTH = (Migration(name, name.encode()) for name in ("1_a.sql", "0002-b.sql", "10_c.sql"))


def had(*migrations: Migration) -> dict[str, str]:
    return {each.name: each.checksum for each in migrations}


def test_files_are_in_the_order_of_their_numbers_and_others_are_left_out(tmp_path: Path) -> None:
    for each in (TENTH, FIRST, SECOND):
        (tmp_path / each.name).write_bytes(each.sql)
    (tmp_path / "README.md").write_text("about them")
    assert read_migrations(tmp_path, "shop/db/migrations") == (FIRST, SECOND, TENTH)
    (tmp_path / "18_c.SQL").write_text("SELECT 1")
    assert [each.number for each in read_migrations(tmp_path, "shop/db/migrations")] == [1, 2, 10, 18]


@pytest.mark.parametrize("head", ["", "\ufeff"])
def test_the_first_line_says_that_there_is_no_transaction(head: str) -> None:
    assert not Migration("1_a.sql", f"{head}-- stackctl: no-transaction\r\nVACUUM".encode()).whole
    assert Migration("1_a.sql", f"{head}SELECT 1;\n-- stackctl: no-transaction\n".encode()).whole


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["notes.sql"], "notes.sql has no number"),
        (["1.sql"], "1.sql has no number"),
        (["1_a.sql", "01_b.sql"], "1_a.sql and 01_b.sql|01_b.sql and 1_a.sql"),
    ],
)
def test_a_folder_without_an_order_is_refused_with_its_place(tmp_path: Path, names: list[str], problem: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(DeclarationError, match=problem) as raised:
        read_migrations(tmp_path, "shop/db/migrations")
    assert raised.value.path == "shop/db/migrations"


def test_an_empty_folder_has_no_migrations(tmp_path: Path) -> None:
    assert read_migrations(tmp_path, "shop/db/migrations") == ()


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="nowhere: No such file"):
        read_migrations(tmp_path / "nowhere", "shop/db/migrations")


def test_what_was_applied_is_not_pending() -> None:
    there = (FIRST, SECOND, TENTH)
    assert pending("db", {}, there) == there
    assert pending("db", had(FIRST), there) == (SECOND, TENTH)
    assert pending("db", had(*there), there) == ()


def test_one_that_is_gone_is_no_fault() -> None:
    assert pending("db", had(FIRST, SECOND), (FIRST, TENTH)) == (TENTH,)


def test_one_that_was_edited_or_comes_too_late_is() -> None:
    with pytest.raises(StackError, match=r"1_a.sql was edited after it was applied") as edited:
        pending("db", had(FIRST), (Migration(FIRST.name, b"other"), SECOND))
    with pytest.raises(StackError, match=r"0002-b.sql is new, but numbered below an applied one \(10\)") as late:
        pending("db", had(FIRST, TENTH), (FIRST, SECOND, TENTH))
    assert (edited.value.code, late.value.code) == ("migration-edited", "migration-order")


def test_what_is_applied_is_what_the_plan_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    applied: list[tuple[Migration, ...]] = []

    def apply(
        _: object, __: object, migrations: tuple[Migration, ...], ___: object
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        applied.append(migrations)
        return {}, ()

    file, folder = tmp_path / "stack.py", tmp_path / "migrations"
    file.write_text(
        "from stack import Postgres, Stack\nstack = Stack('shop', [Postgres('db', migrations='migrations')])"
    )
    folder.mkdir()
    (folder / FIRST.name).write_bytes(FIRST.sql)
    world = World()
    monkeypatch.setitem(ENGINES, "embedded", lambda instance, **_: FakeEngine(world, instance))
    monkeypatch.setattr(preparing, "await_verified", lambda *_: None)
    monkeypatch.setattr(PostgresSchema, "migrate", apply)
    with change(Settings(file, None, tmp_path / "state", "embedded"), Silence()) as opened:
        opened.state.provide_secret("db_password")
        journal = Journal(opened.state)
        context = compute_plan(opened, journal.applied)
        (folder / FIRST.name).write_text("DROP TABLE notes")
        (folder / SECOND.name).write_bytes(SECOND.sql)
        preparing.Preparation(opened, journal, context, {}).run(1, Silence())
    assert applied == [(FIRST,)]
