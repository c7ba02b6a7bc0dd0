"""What `diff` tells of two instances, and of an instance and a snapshot: rows, schema, keys and files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Cli
from tests.conformance.engines import on_docker_at_length
from tests.project import make_project

STACK = """\
from stack import Container, Postgres, Redis, Stack, Volume

db = Postgres("db", databases=["other"])
queue = Redis("queue", durable=True)
app = Container(
    "app", image="python:3.14-slim", command=["sleep", "1000"], process=["sleep", "1000"],
    volumes={"/srv/media": Volume("media")},
)
stack = Stack("twin", [db, queue, app])
"""
# A process has its volumes elsewhere.
IN_MEDIA = 'set -e; cd "${VOLUME_MEDIA:-/srv/media}"'
SCHEMA = r"""
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE kinds (id int PRIMARY KEY, title text, mood mood, data jsonb, raw bytea, real float8, tags text[],
    loud text GENERATED ALWAYS AS (upper(title)) STORED);
INSERT INTO kinds (id, title, mood, data, raw, real, tags)
    SELECT n, 'kind ' || n, 'ok', '{"a": 1}', '\x0102', n / 3.0, '{a,b}' FROM generate_series(-5, 3000) AS n;
CREATE TABLE words (word text, "Lang" text, n int, PRIMARY KEY (word, "Lang"));
INSERT INTO words VALUES
    ('ä', 'de', 1), ('a', 'de', 1), ('Z', 'de', 1), ('_', 'de', 1), (E'\t\\\n', 'de', 1), ('', '', 1);
CREATE TABLE moods (mood mood PRIMARY KEY, uuid uuid NOT NULL UNIQUE);
INSERT INTO moods VALUES ('sad', '00000000-0000-0000-0000-000000000001');
CREATE TABLE lines (line text, n int);
INSERT INTO lines VALUES ('once', 1), ('twice', NULL), ('twice', NULL), (NULL, NULL);
CREATE TABLE days (day date, id int, note text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE january PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE february PARTITION OF days FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO days VALUES ('2026-01-02', 1, 'x'), ('2026-02-02', 1, 'x');
CREATE TABLE old (id int PRIMARY KEY);
INSERT INTO old VALUES (1), (2);
CREATE MATERIALIZED VIEW listed AS SELECT word, count(*) AS number FROM words GROUP BY word;
CREATE UNIQUE INDEX ON listed (word);
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS n WITH NO DATA;
"""
ROWS = r"""
UPDATE kinds SET title = NULL, real = 'NaN' WHERE id = -3;
UPDATE kinds SET mood = 'sad', data = '{"a": 2}', raw = '\x', tags = '{}' WHERE id = 10;
DELETE FROM kinds WHERE id = 9;
INSERT INTO kinds (id) VALUES (4000);
UPDATE words SET n = 2 WHERE word IN ('ä', E'\t\\\n', '');
DELETE FROM words WHERE word = 'Z';
INSERT INTO words VALUES ('b', 'de', 1);
INSERT INTO moods VALUES ('ok', '00000000-0000-0000-0000-000000000002');
DELETE FROM lines WHERE line = 'once';
INSERT INTO lines VALUES ('twice', NULL), (NULL, NULL);
UPDATE days SET note = 'y' WHERE day = '2026-02-02';
REFRESH MATERIALIZED VIEW listed;
SELECT lo_from_bytea(4711, 'large');
"""
DDL = """
ALTER TABLE words ADD done boolean NOT NULL DEFAULT false, ALTER n TYPE bigint;
ALTER TABLE kinds ADD CONSTRAINT known CHECK (id > -100), DROP COLUMN tags;
CREATE INDEX by_title ON kinds (title);
CREATE VIEW calm AS SELECT * FROM moods;
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER TYPE mood ADD VALUE 'glad';
DROP TABLE old;
CREATE TABLE new (id int PRIMARY KEY, note text);
INSERT INTO new VALUES (1), (2), (3);
"""


@dataclass
class Twins:
    """An instance, and another one that began with the data of a snapshot of it, named `start`."""

    first: Cli
    second: Cli

    def seed(self, sql: str) -> None:
        self.second.ok("seed", "-", stdin=sql)

    def diff(self, *words: str) -> dict[str, Any]:
        """What changed from the first to the second, or as the words say."""
        return self.first.data("diff", *(words or (self.first.instance, self.second.instance)))

    def tables(self, *words: str) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.diff(*words)["components"]["db"]["contents"]}


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Twins]:
    folder = make_project(tmp_path_factory, "twins", {"twin.py": STACK})
    first = Cli(folder, file=folder / "twin.py", engine=engine)
    twins = Twins(first, replace(first, instance=f"{first.instance}-b"))
    try:
        first.ok("up")
        first.ok("seed", "-", stdin=SCHEMA)
        first.ok("exec", "queue", "--", "redis-cli", "HSET", "kept", "b", "2", "a", "1")
        first.ok("exec", "queue", "--", "redis-cli", "RPUSH", "jobs", "one", "two")
        first.ok("exec", "queue", "--", "redis-cli", "SET", "short", "1", "EX", "86400")
        first.ok("exec", "app", "--", "sh", "-c", f"{IN_MEDIA}; echo one > one; echo two > two")
        first.ok("snapshot", "save", "start")
        file = folder / ".stackctl" / ".snapshots" / first.instance / "start.zip"
        twins.second.ok("snapshot", "restore", "--yes", "--input", str(file))
        yield twins
    finally:
        twins.second.reset()
        first.reset()


@pytest.fixture(scope="module")
def changed(twins: Twins) -> Twins:
    """The twins once rows of the second have changed."""
    twins.seed(ROWS)
    return twins


def changes(content: dict[str, Any]) -> list[tuple[str, ...]]:
    return [(each["change"], *each["key"].values(), *each["columns"]) for each in content["items"]]


def amounts(content: dict[str, Any]) -> tuple[int, int, int]:
    return content["added"], content["removed"], content["changed"]


@pytest.mark.long
@on_docker_at_length
def test_a_copy_is_the_same(twins: Twins) -> None:
    assert twins.diff("--exit-code", twins.first.instance, twins.second.instance) == {
        "before": {"kind": "instance", "name": twins.first.instance},
        "after": {"kind": "instance", "name": twins.second.instance},
        "same": True,
        "components": {},
    }
    assert twins.first.data("diff", "start")["same"] is True, "the snapshot is the same too"


@on_docker_at_length
def test_rows_that_changed_are_told_with_their_keys(changed: Twins) -> None:
    tables = changed.tables()
    assert {name: amounts(each) for name, each in tables.items()} == {
        "pg_catalog.pg_largeobject": (1, 0, 0),
        "public.days": (0, 0, 1),
        "public.kinds": (1, 1, 2),
        "public.lines": (2, 1, 0),
        "public.listed": (1, 1, 0),
        "public.moods": (1, 0, 0),
        "public.words": (1, 1, 3),
    }
    assert changes(tables["public.kinds"]) == [
        ("changed", "-3", "title", "real"),
        ("removed", "9"),
        ("changed", "10", "mood", "data", "raw", "tags"),
        ("added", "4000"),
    ]
    assert changes(tables["public.words"]) == [
        ("changed", "", "", "n"),
        ("changed", "\t\\\n", "de", "n"),
        ("removed", "Z", "de"),
        ("added", "b", "de"),
        ("changed", "ä", "de", "n"),
    ]
    assert tables["public.words"]["items"][0]["key"].keys() == {"word", "Lang"}
    assert changes(tables["public.days"]) == [("changed", "2026-02-02", "1", "note")]
    assert changes(tables["public.moods"]) == [("added", "ok")]
    assert tables["public.lines"]["items"] == [], "without a key there is nothing to show but values"
    assert all(each["before"] is None for each in tables["public.kinds"]["items"])
    result = changed.first.run("diff", "--exit-code", changed.first.instance, changed.second.instance)
    assert result.exit_code == 3, result
    assert "  public.kinds: 1 row added, 1 row removed, 2 rows changed\n    ~ id=-3: title, real\n" in result.stdout


@on_docker_at_length
@pytest.mark.long
def test_values_are_shown_on_request_alone(changed: Twins) -> None:
    words = (changed.first.instance, changed.second.instance)
    assert "kind" not in changed.first.ok("diff", *words).stdout.replace("public.kinds", "")
    tables = changed.tables("--values", "--limit", "2", *words)
    first, second = tables["public.kinds"]["items"]
    assert first["before"] == {"title": "kind -3", "real": "-1"}
    assert first["after"] == {"title": None, "real": "NaN"}
    assert (second["before"]["title"], second["before"]["raw"], second["after"]) == ("kind 9", "\\x0102", None)
    assert amounts(tables["public.kinds"]) == (1, 1, 2), "all are counted"
    lines = changed.tables("--values", *words)["public.lines"]["items"]
    assert sorted((each["change"], str((each["after"] or each["before"])["line"])) for each in lines) == [
        ("added", "None"), ("added", "twice"), ("removed", "once"),
    ]  # fmt: skip


@on_docker_at_length
def test_a_snapshot_is_compared_without_touching_the_instance(changed: Twins) -> None:
    here = changed.first
    file = str(here.folder / ".stackctl" / ".snapshots" / here.instance / "start.zip")
    told = here.data("diff", changed.second.instance, file)
    assert told["after"] == {"kind": "snapshot", "name": file}
    back = told["components"]["db"]["contents"]
    assert {each["name"]: amounts(each) for each in back}["public.words"] == (1, 1, 3)
    assert "public.listed" not in {each["name"] for each in back}, "a snapshot has none of its rows"
    assert changes(next(each for each in back if each["name"] == "public.moods")) == [("removed", "ok")]
    assert not [each for each in (here.folder / ".stackctl").iterdir() if "_diff" in each.name], "nothing is left"


@on_docker_at_length
@pytest.mark.long
def test_an_instance_that_is_stopped_is_compared_too(changed: Twins) -> None:
    before = changed.diff()
    changed.second.ok("stop")
    try:
        assert changed.diff() == before
        assert changed.second.data("status")["components"]["db"]["state"] == "exited"
    finally:
        changed.second.ok("start")


@on_docker_at_length
def test_keys_of_a_queue_and_files_of_a_volume_are_compared(twins: Twins) -> None:
    for words in (["HSET", "kept", "a", "3"], ["DEL", "jobs"], ["-n", "2", "SET", "new", "1"], ["PERSIST", "short"]):
        twins.second.ok("exec", "queue", "--", "redis-cli", *words)
    script = f"{IN_MEDIA}; echo 1 > one; chmod 600 one; rm two; mkdir three"
    twins.second.ok("exec", "app", "--", "sh", "-c", script)
    found = twins.diff()["components"]
    assert [(each["group"], changes(each)) for each in found["queue"]["contents"]] == [
        ("0", [("removed", "jobs"), ("changed", "kept", "value"), ("changed", "short", "expiry")]),
        ("2", [("added", "new")]),
    ]
    (media,) = found["media"]["contents"]
    assert changes(media) == [("changed", "one", "permissions", "content"), ("added", "three"), ("removed", "two")]


@on_docker_at_length
def test_a_changed_schema_is_told_and_rows_by_what_both_have(changed: Twins) -> None:
    changed.seed(DDL)
    db = changed.diff()["components"]["db"]
    told = {(each["change"], each["kind"], each["name"]): (each["before"], each["after"]) for each in db["schema"]}
    assert told.keys() == {
        ("added", "column", "public.words.done"),
        ("changed", "column", "public.words.n"),
        ("removed", "column", "public.kinds.tags"),
        ("added", "constraint", "public.kinds.known"),
        ("added", "function", "public.one()"),
        ("added", "index", "public.by_title"),
        ("added", "table", "public.new"),
        ("removed", "table", "public.old"),
        ("changed", "type", "public.mood"),
        ("added", "view", "public.calm"),
    }
    assert told["changed", "column", "public.words.n"] == ("integer", "bigint")
    assert told["added", "column", "public.words.done"] == (None, "boolean DEFAULT false NOT NULL")
    tables = {each["name"]: each for each in db["contents"]}
    assert changes(tables["public.kinds"])[2] == ("changed", "10", "mood", "data", "raw")
    assert amounts(tables["public.words"]) == (1, 1, 3), "a column that one side lacks changes no row"
    assert amounts(tables["public.new"]) == (3, 0, 0)
    assert amounts(tables["public.old"]) == (0, 2, 0)


@on_docker_at_length
def test_a_name_that_means_nothing_is_answered_with_what_there_is(twins: Twins, tmp_path: Path) -> None:
    error = twins.first.fails("diff", "nothing", code="usage", exit_code=2)
    assert "neither an instance nor a snapshot 'nothing'" in error["message"]
    assert "are: start" in error["message"]
    twins.first.fails("diff", twins.first.instance, code="usage", exit_code=2)
    twins.first.fails("diff", str(tmp_path / "none.zip"), code="file-unusable")
    assert not (twins.first.folder / ".stackctl" / "nothing").exists()
