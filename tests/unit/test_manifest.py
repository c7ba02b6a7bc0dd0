"""What a snapshot says of itself is read strictly: a forged one is refused, and costs no more than a whole one."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.components.postgres.properties import Grant, Properties, Setting
from stack.components.postgres.saved import SavedComponent, SavedDatabase, Table, pack, unpack
from stack.controls import visible
from stack.errors import StackError
from stack.snapshots.archive import damaged, opened
from stack.snapshots.encoding import from_json, to_json
from stack.snapshots.manifest import Manifest, Member, Reason, Saved
from stack.workload import PortId
from tests.manifests import older

Data = dict[str, Any]

_texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=9)
_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=9)
_amounts = st.integers(0, 2**61)
_checksums = st.binary(min_size=32, max_size=32).map(bytes.hex)
_sums = st.integers(-(2**100), 2**100).map(str)
_tables = st.lists(st.builds(Table, _names, _amounts, _sums), max_size=2, unique_by=lambda table: table.name).map(tuple)
_members = st.builds(Member, st.just("db/1.dump.zst"), _amounts, _checksums)
_grants = st.builds(Grant, st.none() | _names, _names, st.just("CONNECT"), st.booleans())
_properties = st.builds(
    Properties, _names, st.sampled_from(["b", "c", "i"]), _texts, _texts, st.none() | _texts, st.none() | _names,
    st.integers(-1, 2**31 - 1), st.booleans(), st.booleans(), st.none() | _names,
    st.none() | st.lists(_grants, max_size=2).map(tuple),
)  # fmt: skip
_settings = st.lists(st.builds(Setting, st.none() | _names, st.none() | _names, _names, _names), max_size=2).map(tuple)
_databases = st.builds(
    SavedDatabase, _names, st.just("UTF8"), _amounts, _members, _tables, st.none() | _properties
)  # fmt: skip
_roles = st.builds(Member, st.just("db/roles.sql"), st.integers(0, 2**20), _checksums)
_versions = st.sampled_from(["15.2", "18.6", "19beta1", "9.6"])


def _component(
    version: str, user: str, roles: Member, database: SavedDatabase, settings: tuple[Setting, ...], checksums: int
) -> dict[str, Saved]:
    component = SavedComponent(version, user, database.name, "db-pgdata", roles, (database,), user, settings)
    return {"db": pack(replace(component, system={"work_mem": "5MB"}, checksums=checksums))}


_manifests = st.builds(
    Manifest,
    name=_texts,
    reason=st.sampled_from(get_args(Reason)),
    made=st.datetimes(timezones=st.just(UTC)),
    stackctl=_texts,
    stack=_texts,
    instance=_texts,
    engine=_texts,
    components=st.builds(_component, _versions, _names, _roles, _databases, _settings, st.integers(1, 2)),
    ports=st.dictionaries(_texts, st.integers(1, 65535), max_size=2),
    declaration=st.dictionaries(_texts, st.dictionaries(_names, st.text()), max_size=2),
    groups=st.dictionaries(_texts, st.booleans(), max_size=2),
    host=st.none() | st.just("ssh://deploy@shop.test"),
)

ROLES, DUMP = b"CREATE ROLE student;\n", b"any bytes"


def component() -> SavedComponent:
    """What is saved of a database whose parts are `ROLES` and `DUMP`."""
    roles, dump = (
        Member(f"db/{name}", len(data), hashlib.sha256(data).hexdigest())
        for name, data in (("roles.sql", ROLES), ("1.dump.zst", DUMP))
    )
    grant = Grant("reader", "student", "CONNECT", False)
    properties = Properties("student", "b", "C", "C", "C.UTF-8", None, -1, True, False, None, (grant,))
    database = SavedDatabase("notes", "UTF8", 8192, dump, (Table("public.a", 2, "7"),), properties)
    settings = (Setting("notes", None, "work_mem", "5MB"),)
    return SavedComponent("18.1", "student", "notes", "db-pgdata", roles, (database,), "student", settings)


def manifest() -> Manifest:
    made, components = datetime(2026, 11, 24, 16, 5, 1, tzinfo=UTC), {"db": pack(component())}
    return Manifest("saved", "asked", made, "1.0", "shop", "playground", "embedded", components, {PortId("web"): 8000})


@given(_manifests)
def test_a_manifest_is_the_same_after_its_way_through_json(one: Manifest) -> None:
    assert from_json(to_json(one)) == one


@given(_manifests)
def test_what_postgresql_packs_it_unpacks(one: Manifest) -> None:
    saved = one.components["db"]
    assert pack(unpack("db", saved)) == saved


@pytest.mark.parametrize("schema", [1, 2])
def test_a_manifest_of_an_earlier_version_is_read_as_one_of_today(schema: int) -> None:
    found = unpack("db", from_json(json.dumps(older(json.loads(to_json(manifest())), schema))).components["db"])
    whole = component()
    if schema == 1:
        plain = tuple(replace(each, properties=None) for each in whole.databases)
        whole = replace(whole, admin=None, settings=(), system={}, checksums=1, databases=plain)
    assert found == whole


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 18), (("user",), 5), (("store",), "../../etc"), (("databases",), []), (("databases", 0), 7),
        (("databases", 0, "size"), "5"), (("databases", 0, "name"), ""), (("databases", 0, "tables"), None),
        (("databases", 0, "tables", 0, "rows"), -1), (("databases", 0, "dump", "name"), "../x"),
        (("roles", "bytes"), 2**40), (("settings",), 7), (("system",), []), (("more",), 7),
    ],
)  # fmt: skip
def test_a_forged_value_in_an_earlier_manifest_is_refused(
    tmp_path: Path, path: tuple[str | int, ...], value: Any
) -> None:
    data = older(json.loads(to_json(manifest())), 2)
    at(*path[:-1])(data["components"]["db"])[path[-1]] = value
    assert refused(tmp_path, json.dumps(data))


def test_a_manifest_sums_up_what_its_databases_hold() -> None:
    part = Member("db/1.dump.zst", 1, "0")
    one = SavedDatabase("one", "UTF8", 100, part, (Table("a", 2, "0"), Table("b", 3, "0")))
    other = SavedDatabase("other", "UTF8", 10, part, (Table("c", 4, "0"),))
    both = SavedComponent("17.6", "student", "notes", "store", part, (one, other))
    whole = replace(manifest(), components={"db": pack(both), "more": pack(both)})
    assert (both.rows, both.size, both.major) == (9, 110, 17)
    assert (whole.rows, whole.size) == (18, 220)


def at(*path: str | int) -> Callable[[Data], Any]:
    """Find the part of a manifest that is there."""

    def find(data: Any) -> Any:
        for step in path:
            data = data[step]
        return data

    return find


COMPONENT = ("components", "db")
DETAILS = (*COMPONENT, "details")
CONTENT = (*COMPONENT, "contents", 0)
ROLES_PART, DUMP_PART = ((*COMPONENT, "members", number) for number in range(2))
DATABASE = (*DETAILS, "databases", 0)
PROPERTIES = (*DATABASE, "properties")


@pytest.mark.parametrize(
    ("path", "key", "values"),
    [
        ((), "schema", (0, 99, "1", None, True)),
        ((), "name", (5, "\x1b[31mred\x07", "a\nb", None)),
        ((), "reason", ("boredom", 7, "")),
        ((), "made", ("yesterday", 7, "2026-11-24T16:05:01")),
        ((), "engine", (None, ["compose"])),
        ((), "components", ({}, [], None, {"../x": {}}, {"db": []}, {"db": None})),
        ((), "ports", ([], {"web": "8000"}, {"web": 0}, {"web": True})),
        ((), "declaration", (7, {"web": 7}, {"web": {"image": 7}})),
        (COMPONENT, "version", (18, "x", "", "1800", "18 \n", None)),
        (COMPONENT, "format", ("postgres", "postgres/x", "other/1", "", None)),
        (COMPONENT, "volumes", ([], {"": 5}, {"": "../../etc"}, {"": "a/../b"}, None)),
        (COMPONENT, "size", ("5", -5, float("nan"), 1.5, 10**30)),
        (COMPONENT, "rows", ("5", -5)),
        (COMPONENT, "contents", ({}, None, [7])),
        (COMPONENT, "members", ([], {}, None, [7])),
        (COMPONENT, "details", ({}, [], None)),
        (DETAILS, "user", (5, "", "a\0b")),
        (DETAILS, "database", ("other", None)),
        (DETAILS, "databases", ([], {}, None, [7], "notes")),
        (DETAILS, "roles", ("db/1.dump.zst", "other", 5, None)),
        (DATABASE, "name", (5, "", "x" * 10_000, "a\0b")),
        (DATABASE, "encoding", ("UTF8'; DROP TABLE a", "", 8)),
        (DATABASE, "size", ("5", -5, float("nan"), 1.5, 10**30)),
        (DATABASE, "dump", ("db/roles.sql", "db/2.dump.zst", 5)),
        (CONTENT, "group", ("other", 5, "a\0b")),
        (CONTENT, "rows", ("x", -1, True)),
        (CONTENT, "checksum", (7, "x", "9" * 1000)),
        (DUMP_PART, "name", ("../x", "/tmp/x", "db/../../x", "other/1.dump.zst", "db/roles.sql", 5)),
        (DUMP_PART, "bytes", (len(DUMP) + 1, -1, "9")),
        (DUMP_PART, "sha256", ("0", 7, "g" * 64)),
        (ROLES_PART, "bytes", (2**40,)),
        (DETAILS, "settings", ({}, None, [7])),
        ((*DETAILS, "settings", 0), "name", (5, "", None, "a\0b")),
        (DETAILS, "system", ([], {"work_mem": 5}, {"a\nb": "5"})),
        (DETAILS, "checksums", (0, 3, "1", None)),
        ((), "groups", ([], 7, {"tools": 1}, {"tools": "on"}, {"a\nb": True})),
        (DATABASE, "properties", ([], 7)),
        (PROPERTIES, "provider", ("x", "", 7, None)),
        (PROPERTIES, "limit", (-2, "1", 2**31)),
        (PROPERTIES, "connects", (1, "true", None)),
        (PROPERTIES, "grants", ({}, 7, [7])),
        ((*PROPERTIES, "grants", 0), "privilege", ("ALL; DROP", "", 7)),
    ],
)  # fmt: skip
def test_a_forged_value_is_refused(tmp_path: Path, path: tuple[str | int, ...], key: str, values: Any) -> None:
    for value in values:
        data = json.loads(to_json(manifest()))
        at(*path)(data)[key] = value
        assert refused(tmp_path, json.dumps(data)), f"{key}: {value!r:.60}"


@pytest.mark.parametrize("path", [(), COMPONENT, DETAILS, DATABASE, CONTENT, DUMP_PART, PROPERTIES])
def test_a_key_that_is_missing_or_unknown_is_refused(tmp_path: Path, path: tuple[str | int, ...]) -> None:
    whole = json.loads(to_json(manifest()))
    optional = {"schema", "ports", "declaration"}
    for key in [*at(*path)(whole).keys() - optional, "more"]:
        data = json.loads(to_json(manifest()))
        part = at(*path)(data)
        part.pop(key) if key in part else part.update(more=7)
        assert refused(tmp_path, json.dumps(data)), key


def test_what_is_listed_twice_is_refused(tmp_path: Path) -> None:
    for path in ((*DETAILS, "databases"), (*COMPONENT, "contents"), (*COMPONENT, "members")):
        data = json.loads(to_json(manifest()))
        at(*path)(data).append(at(*path)(data)[0])
        assert refused(tmp_path, json.dumps(data)), path


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '"text"', "{}", "[" * 200_000, "9" * 100_000, "\udcff"])
def test_what_is_no_manifest_at_all_is_refused(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path, text)


def test_a_part_that_is_not_listed_or_compressed_is_refused(tmp_path: Path) -> None:
    text = to_json(manifest())
    assert not refused(tmp_path, text)
    assert refused(tmp_path, text, more=("evil.sh", b"rm -rf"))
    assert refused(tmp_path, text, more=("db/roles.sql", b"SELECT 1;"))
    assert refused(tmp_path, text, packed=zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize("claims", [None, 100])
def test_a_manifest_that_inflates_costs_no_memory(tmp_path: Path, claims: int | None) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("manifest.json", "w") as part:
        for _ in range(64):
            part.write(bytes(2**20))
    if claims is not None:
        whole = path.read_bytes()
        path.write_bytes(whole.replace((64 * 2**20).to_bytes(4, "little"), claims.to_bytes(4, "little")))
    tracemalloc.start()
    try:
        with pytest.raises(StackError) as raised, opened(path):
            pass
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert raised.value.code == "snapshot-damaged"
    assert most < 16 * 2**20


@pytest.mark.parametrize(
    ("setting", "statement"),
    [
        (Setting('a"b', None, "work_mem", "5MB"), 'ALTER DATABASE "a""b" SET "work_mem" TO E\'5MB\';'),
        (Setting("a", "r", "my.own", "it's \\"), r"""ALTER ROLE "r" IN DATABASE "a" SET "my.own" TO E'it''s \\';"""),
        (
            Setting(None, None, "search_path", '"$user", public, "odd, ""one"""'),
            """ALTER ROLE ALL SET "search_path" TO E'$user', E'public', E'odd, "one"';""",
        ),
        (Setting("a", None, "search_path", '""'), """ALTER DATABASE "a" SET "search_path" TO E'';"""),
    ],
)
def test_a_setting_is_written_as_pg_dump_does(setting: Setting, statement: str) -> None:
    assert setting.statement == statement + "\n"


def test_a_name_for_a_terminal_has_nothing_that_acts_on_it() -> None:
    assert visible("notes ü 'x'") == "notes ü 'x'"
    assert visible("\x1b[31mred\x07\n\u202e") == r"\x1b[31mred\x07\n\u202e"


def refused(folder: Path, text: str, more: tuple[str, bytes] | None = None, packed: int = zipfile.ZIP_STORED) -> bool:
    """Whether a snapshot with this manifest is refused as damaged; anything else that it raises is a failure."""
    path = folder / "forged.zip"
    with zipfile.ZipFile(path, "w", packed) as file:
        file.writestr("db/roles.sql", ROLES)
        file.writestr("db/1.dump.zst", DUMP)
        if more:
            with warnings.catch_warnings(action="ignore"):  # that a name is there twice
                file.writestr(*more)
        file.writestr("manifest.json", text.encode("utf-8", "surrogateescape"))
    damage: StackError | None = None
    try:
        with opened(path) as archive:
            archive.verify()
            for name, saved in archive.manifest.components.items():
                try:
                    unpack(name, saved)
                except ValueError as error:
                    raise damaged(path, str(error)) from error
    except StackError as error:
        damage = error
    assert damage is None or (damage.code, damage.message.isprintable()) == ("snapshot-damaged", True)
    return damage is not None
