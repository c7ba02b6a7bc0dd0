"""What `diff` names, and how it tells differences to people; the servers themselves are in tests/conformance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stack.components.postgres.compared import Column, Shape, unescaped
from stack.components.redis.differ import Key, compare_keys
from stack.engines import ENGINES
from stack.errors import StackError, UsageError
from stack.record import Record
from stack.results.differences import (
    ComparedSide,
    ComponentDifference,
    ContentDifference,
    DiffResult,
    ItemDifference,
    SchemaDifference,
)
from stack.settings import Settings
from stack.snapshots.volumes import File
from stack.state import State
from stack.style import PLAIN
from stack.workflow.diff_text import diff_lines
from stack.workflow.file_differences import compare_files
from stack.workflow.sides import Named, find_named
from tests.unit.fake_engine import FakeEngine, World

ID = Column("id", "plain", number=True, narrow=True, generated=False)
NAME = Column("name", "plain", number=False, narrow=False, generated=False)
BODY = replace(NAME, name="body", kind="binary")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of the instance `shop`, which has the snapshots `monday` and `review`, beside the instance `review`."""
    file = tmp_path / "stack.py"
    file.write_text("from stack import Postgres, Stack\nstack = Stack('shop', [Postgres('db')])\n")
    monkeypatch.setitem(ENGINES, "embedded", lambda instance, **_: FakeEngine(World(), instance))
    root = tmp_path / "state"
    review = State(root / "review")
    with review.locked():
        review.remember(Record("stackctl-review", {}))
    (root / ".snapshots" / "shop").mkdir(parents=True)
    for name in ("monday", "review"):
        (root / ".snapshots" / "shop" / f"{name}.zip").touch()
    return Settings(file, None, root, "embedded", tmp_path / "registry")


def test_a_name_means_an_instance_or_a_snapshot_or_a_file(settings: Settings) -> None:
    folder = settings.state_root / ".snapshots" / "shop"
    assert find_named(settings, None) == Named(ComparedSide("instance", "shop"), None)
    assert find_named(settings, "shop") == find_named(settings, "instance:shop") == find_named(settings, None)
    assert find_named(settings, "monday") == Named(ComparedSide("snapshot", "monday"), folder / "monday.zip")
    assert find_named(settings, "./notes") == Named(ComparedSide("snapshot", "./notes"), Path("notes"))
    assert find_named(settings, "instance:review") == Named(ComparedSide("instance", "review"), None)
    assert find_named(settings, "snapshot:review").file == folder / "review.zip"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("review", "an instance 'review', and a snapshot of that name"),
        ("friday", "neither an instance nor a snapshot 'friday'; the snapshots of shop are: "),
        ("instance:friday", "no instance 'friday'"),
        ("Friday!", "not a name"),
    ],
)
def test_a_name_that_is_not_clear_is_refused(settings: Settings, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_named(settings, text)


def test_a_snapshot_that_is_not_there_is_refused(settings: Settings) -> None:
    with pytest.raises(StackError) as raised:
        find_named(settings, "snapshot:friday")
    assert raised.value.code == "snapshot-unknown"


def test_tables_are_compared_by_the_columns_and_the_key_of_both() -> None:
    one = Shape("public.t", True, (ID, NAME, BODY), ((ID,), (NAME,)))
    other = Shape("public.t", False, (replace(ID, number=False, narrow=False), NAME), ((NAME,), (BODY,)))
    common = one.common(other)
    assert [column.name for column in common.columns] == ["id", "name"]
    assert common.columns[0] == replace(ID, number=False, narrow=False), "of two types it is compared as text"
    assert (common.key, common.source) == ((NAME,), "ONLY public.t")
    assert one.common(replace(other, keys=())).key == ()


def test_values_are_read_as_copy_writes_them() -> None:
    assert unescaped(rb"a\tb\\n\n\\") == b"a\tb\\n\n\\"
    assert unescaped("ä".encode()) == "ä".encode()


def test_files_are_compared_by_content_kind_and_permissions() -> None:
    same, one, gone = (File(path, "file", "644", "", "0") for path in ("same", "one", "gone"))
    before, after = [same, one, gone], [replace(one, permissions="600", digest="1"), same, replace(gone, path="new")]
    found = compare_files("media", before, after, 2)
    assert (found.group, found.added, found.removed, found.changed) == ("media", 1, 1, 1)
    assert found.items == (
        ItemDifference("removed", {"path": "gone"}),
        ItemDifference("added", {"path": "new"}),
    )
    assert compare_files("media", before, after, 3).items[2].columns == ("permissions", "content")
    assert compare_files("media", before, before[::-1], 9) == ContentDifference("media", "", "file", 0, 0, 0)


def test_a_key_of_any_bytes_has_a_name() -> None:
    one, two = Key("string 1"), Key("string 2")
    found = compare_keys("0", {b"\xff": one, b"a": one}, {b"\xff": two, b"b": one}, 9)
    assert [(each.change, each.key["key"]) for each in found.items] == [
        ("removed", "a"), ("added", "b"), ("changed", "\\xff"),
    ]  # fmt: skip


def test_what_changed_of_a_key_is_told() -> None:
    before = {b"a": Key("1"), b"b": Key("1", 5), b"c": Key("1", 5), b"d": Key("1", 5)}
    after = {b"a": Key("2"), b"b": Key("1", 6), b"c": Key("2"), b"d": Key("1", 5)}
    found = compare_keys("0", before, after, 9)
    assert [(each.key["key"], each.columns) for each in found.items] == [
        ("a", ("value",)), ("b", ("expiry",)), ("c", ("value", "expiry")),
    ]  # fmt: skip


def test_differences_are_told_without_what_acts_on_a_terminal() -> None:
    was, now = {"name": "a", "note": None}, {"name": "b\n", "note": "x" * 99}
    items = (
        ItemDifference("changed", {"id": "1\x1b[2J"}, ("name", "note"), was, now),
        ItemDifference("added", {"id": "2"}, (), None, {"id": "2", "name": "c"}),
    )
    component = ComponentDifference(
        schema=(
            SchemaDifference("app", "column", "public.t.name", "changed", "text", "varchar(9)"),
            SchemaDifference("other", "database", "other", "added", None, "ENCODING UTF8"),
        ),
        contents=(ContentDifference("app", "public.t", "row", 3, 0, 1, items),),
        notices=("closed allows no connections, and was not compared",),
    )
    told = {"db": component, "media": ComponentDifference("after")}
    sides = (ComparedSide("snapshot", "monday"), ComparedSide("instance", "shop"))
    assert "\n".join(diff_lines(DiffResult(*sides, False, told), PLAIN)).split("\n") == [
        "from snapshot monday to instance shop:",
        "",
        "db",
        "  ~ column app: public.t.name: text → varchar(9)",
        "  + database other: ENCODING UTF8",
        "  app: public.t: 3 rows added, 1 row changed",
        f"    ~ id=1\\x1b[2J: name: a → b\\n, note: NULL → {'x' * 79}…",
        "    + id=2: name=c",
        "    … 2 more; `--limit` shows them",
        "  note: closed allows no connections, and was not compared",
        "",
        "media",
        "  only instance shop has data of it",
    ]
    assert [*diff_lines(DiffResult(*sides, True, {}), PLAIN)] == [
        "snapshot monday and instance shop hold the same data"
    ]
