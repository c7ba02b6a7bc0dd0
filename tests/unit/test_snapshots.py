"""A snapshot is whole or refused, says what it holds, and goes by itself only where a command made it by itself."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, NamedTuple, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stack.components.postgres import loading
from stack.components.postgres.loading import difference
from stack.components.postgres.saved import SavedComponent, SavedDatabase, Table, pack
from stack.errors import StackError, UsageError
from stack.snapshots.archive import CHUNK, RESERVE, Writer, opened, read_manifest
from stack.snapshots.manifest import Manifest, Member, Reason
from stack.snapshots.store import KEPT, KEPT_FOR, SnapshotEntry, SnapshotStore, superfluous
from stack.snapshots.streams import packing, unpacked
from stack.snapshots.zstandard import zstd

NOW = datetime(2026, 11, 24, 16, 5, 1, tzinfo=UTC)
ROLES = b"CREATE ROLE student;\nALTER ROLE student WITH SUPERUSER;\n"
DUMP = b"PGDMP" + bytes(range(256)) * 20

_names = st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text)
_tables = st.builds(Table, _names, st.integers(0, 2**63 - 1), st.integers().map(str))
_reasons: st.SearchStrategy[Reason] = st.sampled_from(get_args(Reason))


def manifest(name: str = "saved", reason: Reason = "asked", made: datetime = NOW) -> Manifest:
    part, roles = Member("db/1.dump.zst", 1, "0" * 64), Member("db/roles.sql", 1, "0" * 64)
    database = SavedDatabase("notes", "UTF8", 1, part, ())
    component = SavedComponent("18.1", "student", "notes", "store", roles, (database,))
    return Manifest(name, reason, made, "1.0", "shop", "playground", "embedded", {"db": pack(component)})


def test_files_are_not_counted_as_rows() -> None:
    database = manifest()
    files = replace(database.components["db"], format="volumes/1", rows=4)
    both = replace(database, components={**database.components, "media": files})
    assert (database.rows, both.rows, both.files) == (0, 0, 4)
    assert (database.holds, both.holds) == ("0 rows", "4 files")
    rows = replace(database.components["db"], rows=12)
    assert replace(both, components={"db": rows, "media": files}).holds == "12 rows, 4 files"


class Saved(NamedTuple):
    """A snapshot in a file, and what its parts were before they were compressed."""

    path: Path
    parts: Mapping[str, bytes]


def write(path: Path, about: Manifest | None = None) -> Saved:
    """A snapshot of one component with one database."""
    parts = {"db/roles.sql": ROLES, "db/1.dump.zst": DUMP}
    with Writer(path) as archive:
        written = {}
        for name, data in parts.items():
            with archive.member(name) as sink:
                sink.write(data)
            written[name] = sink.member
        database = SavedDatabase("notes", "UTF8", 8192, written["db/1.dump.zst"], (Table("public.a", 2, "7"),))
        component = SavedComponent("18.1", "student", "notes", "db-pgdata", written["db/roles.sql"], (database,))
        archive.finish(replace(about or manifest(path.stem), components={"db": pack(component)}))
    return Saved(path, parts)


def read(path: Path) -> dict[str, bytes]:
    """All parts of a snapshot, after it was checked."""
    with opened(path) as archive:
        archive.verify()
        saved = archive.manifest.components["db"]
        found = {}
        for member in saved.members:
            with archive.part(member) as part:
                found[member.name] = part.read()
        return found


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    return write(tmp_path / "saved.zip")


# Its file


def test_what_was_written_is_read_and_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        saved = write(tmp_path / "saved.zip")
    finally:
        os.umask(before)
    assert read(saved.path) == saved.parts
    assert oct(saved.path.stat().st_mode & 0o777) == "0o600"
    assert list(tmp_path.iterdir()) == [saved.path]


def test_its_parts_are_readable_without_stackctl(saved: Saved) -> None:
    with zipfile.ZipFile(saved.path) as plain:
        assert plain.namelist() == ["db/roles.sql", "db/1.dump.zst", "manifest.json"], "the manifest is written last"
        assert plain.read("db/roles.sql") == ROLES
        assert zstd.decompress(plain.read("db/1.dump.zst")) == DUMP


@pytest.mark.parametrize("flip", [0x01, *(pytest.param(each, marks=pytest.mark.long) for each in (0x08, 0xFF))])
def test_whatever_byte_is_flipped_it_is_refused_or_reads_as_it_was(saved: Saved, flip: int) -> None:
    whole = saved.path.read_bytes()
    found: list[object] = []
    for place in range(len(whole)):
        saved.path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
        found.append(_read_or_refused(saved.path))
    assert [each for each in found if each not in (saved.parts, "snapshot-damaged")] == []
    assert found.count("snapshot-damaged") > len(whole) / 2, "only what is not looked at may change unseen"


def _read_or_refused(path: Path) -> Mapping[str, bytes] | str:
    """Its parts, or the code of the error."""
    try:
        return read(path)
    except StackError as error:
        return error.code


def test_wherever_it_is_cut_it_is_refused(saved: Saved) -> None:
    whole = saved.path.read_bytes()
    for size in range(len(whole)):
        saved.path.write_bytes(whole[:size])
        with pytest.raises(StackError) as raised:
            read(saved.path)
        assert raised.value.code == "snapshot-damaged", f"cut at {size}"


@pytest.mark.parametrize("missing", ["db/roles.sql", "db/1.dump.zst", "manifest.json"])
def test_a_part_that_is_missing_is_told(saved: Saved, missing: str) -> None:
    with zipfile.ZipFile(saved.path) as plain:
        rest = {name: plain.read(name) for name in plain.namelist() if name != missing}
    with zipfile.ZipFile(saved.path, "w") as plain:
        for name, data in rest.items():
            plain.writestr(name, data)
    with pytest.raises(StackError, match="nothing was touched") as raised:
        read(saved.path)
    assert raised.value.code == "snapshot-damaged"


def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(StackError) as raised:
        read_manifest(tmp_path / "none.zip")
    assert raised.value.code == "file-unusable"


def test_nothing_remains_of_what_failed_in_the_middle(tmp_path: Path) -> None:
    def dump() -> Iterator[bytes]:
        yield DUMP
        raise RuntimeError("the server is gone")

    with pytest.raises(RuntimeError, match="the server is gone"):
        _write_part(tmp_path / "saved.zip", dump())
    assert list(tmp_path.iterdir()) == []


def test_nothing_remains_of_what_was_not_finished(tmp_path: Path) -> None:
    _write_part(tmp_path / "saved.zip", [DUMP])
    assert list(tmp_path.iterdir()) == []


def _write_part(path: Path, chunks: Iterable[bytes]) -> None:
    """Begin a snapshot."""
    with Writer(path) as archive, archive.member("db/1.dump.zst") as sink:
        for chunk in chunks:
            sink.write(chunk)


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def _free(monkeypatch: pytest.MonkeyPatch, *amounts: int) -> None:
    """What is free, from look to look; the last of it stays."""
    left = list(amounts)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(0, 0, left.pop(0) if len(left) > 1 else left[0]))


def test_a_disk_with_little_room_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, RESERVE - 1)
    with pytest.raises(StackError, match="nothing was written") as raised, Writer(tmp_path / "saved.zip"):
        pass
    assert raised.value.code == "disk-full"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_told_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, RESERVE, RESERVE - 1)
    noise = random.Random(7).randbytes(CHUNK)
    with pytest.raises(StackError) as raised:
        _write_part(tmp_path / "saved.zip", [noise] * 4)
    assert raised.value.code == "disk-full"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StackError) as raised, Writer(tmp_path / "none" / "saved.zip"):
        pass
    assert raised.value.code == "file-unusable"


# The snapshots


@pytest.fixture
def snapshots(tmp_path: Path) -> SnapshotStore:
    made = SnapshotStore(tmp_path / ".stackctl", "playground")
    made.prepare()
    return made


def test_the_folder_of_snapshots_is_its_owners_alone(snapshots: SnapshotStore) -> None:
    assert oct(snapshots.folder.stat().st_mode & 0o777) == "0o700"
    assert oct(snapshots.folder.parent.stat().st_mode & 0o777) == "0o700"


@pytest.mark.parametrize("name", ["a", "0", "before-the-demo", "v1.2_final", "a" * 61])
def test_a_name_is_the_name_of_its_file(snapshots: SnapshotStore, name: str) -> None:
    assert snapshots.path(name) == snapshots.folder / f"{name}.zip"


@pytest.mark.parametrize("name", ["", ".hidden", "-x", "../other", "a/b", "Demo", "a b", "ä", "a\n", "a" * 62])
def test_what_is_no_name_is_refused(snapshots: SnapshotStore, name: str) -> None:
    with pytest.raises(UsageError, match="is not a name for a snapshot"):
        snapshots.path(name)


@given(st.text())
def test_whatever_is_taken_for_a_name_stays_in_the_folder(name: str) -> None:
    snapshots = SnapshotStore(Path("/state"), "playground")
    try:
        path = snapshots.path(name)
    except UsageError:
        return
    assert path.parent == snapshots.folder
    assert not path.name.startswith(".")


def test_a_name_that_is_made_says_when_and_why_and_is_free(snapshots: SnapshotStore) -> None:
    local = f"{NOW.astimezone():%Y-%m-%d-%H%M%S}"
    assert snapshots.free_name("asked", NOW) == local
    for expected in (f"before-reset-{local}", f"before-reset-{local}-2", f"before-reset-{local}-3"):
        assert snapshots.free_name("reset", NOW) == expected
        snapshots.path(expected).touch()


def test_the_newest_comes_first_and_what_can_not_be_read_last(snapshots: SnapshotStore) -> None:
    assert snapshots.items() == []
    for name, days in (("b", 2), ("c", 0), ("a", 1)):
        write(snapshots.path(name), manifest(name, made=NOW - timedelta(days=days)))
    snapshots.path("broken").write_text("nothing")
    (snapshots.folder / ".d.zip.1234").touch()
    (snapshots.folder / ".hidden.zip").touch()
    items = snapshots.items()
    assert [item.name for item in items] == ["c", "a", "b", "broken"]
    assert [item.manifest is None for item in items] == [False, False, False, True]
    assert "it is no snapshot" in items[-1].problem
    assert items[0].bytes == snapshots.path("c").stat().st_size


def test_a_snapshot_is_found_by_its_name_or_the_others_are_listed(snapshots: SnapshotStore) -> None:
    with pytest.raises(StackError, match="there are: none"):
        snapshots.find("demo")
    write(snapshots.path("demo"))
    assert snapshots.find("demo") == snapshots.path("demo")
    with pytest.raises(StackError, match="there are: demo") as raised:
        snapshots.find("other")
    assert raised.value.code == "snapshot-unknown"


def test_undo_brings_back_the_newest_that_a_command_made(snapshots: SnapshotStore) -> None:
    assert snapshots.newest_automatic() is None
    write(snapshots.path("asked"), manifest("asked"))
    write(snapshots.path("adopted"), manifest("adopted", "adopt"))
    assert snapshots.newest_automatic() is None
    write(snapshots.path("old"), manifest("old", "reset", NOW - timedelta(days=2)))
    write(snapshots.path("new"), manifest("new", "load", NOW - timedelta(days=1)))
    newest = snapshots.newest_automatic()
    assert newest is not None
    assert newest.name == "new"


def _item(reason: Reason | None, age: timedelta, number: int = 0) -> SnapshotEntry:
    made = manifest(f"s{number}", reason, NOW - age) if reason else None
    return SnapshotEntry(Path(f"/snapshots/s{number}.zip"), 1, made)


def _ages(items: Sequence[SnapshotEntry]) -> list[int]:
    return [(NOW - item.manifest.made).days for item in items if item.manifest]


def test_of_what_commands_made_only_so_many_are_kept() -> None:
    items = [_item("reset", timedelta(days=day)) for day in range(KEPT + 3)]
    assert _ages(superfluous(items, NOW)) == [KEPT, KEPT + 1, KEPT + 2]


def test_old_automatic_snapshots_go_and_the_newest_stays() -> None:
    days = KEPT_FOR.days
    assert superfluous([_item("reset", KEPT_FOR)], NOW) == []
    assert superfluous([_item("reset", timedelta(days=5 * days))], NOW) == []
    young_and_old = [_item("load", timedelta(days=day)) for day in (0, days, days + 1, days + 2)]
    assert _ages(superfluous(young_and_old, NOW)) == [days + 1, days + 2]


def test_requested_and_unreadable_snapshots_never_go() -> None:
    asked = [_item("asked", timedelta(days=1000 + day)) for day in range(2 * KEPT)]
    automatic = [_item("undo", timedelta(days=day)) for day in range(KEPT)]
    broken = [_item(None, timedelta()) for _ in range(2 * KEPT)]
    assert superfluous([*automatic, *asked, *broken], NOW) == []


@settings(deadline=None)
@given(st.lists(st.tuples(_reasons | st.none(), st.integers(0, 90)), max_size=40))
def test_only_the_oldest_of_what_commands_made_goes(drawn: list[tuple[Reason | None, int]]) -> None:
    by_age = sorted(drawn, key=lambda each: (each[0] is None, each[1]))
    items = [_item(reason, timedelta(days=day), number) for number, (reason, day) in enumerate(by_age)]
    gone = superfluous(items, NOW)
    automatic = [item for item in items if item.manifest and item.manifest.automatic]
    kept = [item for item in automatic if item not in gone]
    assert list(gone) == automatic[len(kept) :], "the newest are kept"
    assert len(kept) <= KEPT
    assert kept or not automatic, "there is something to undo with"
    assert max(_ages(kept[1:]), default=0) <= KEPT_FOR.days
    assert all(len(kept) == KEPT or age > KEPT_FOR.days for age in _ages(gone)), "none goes without a reason"


# What came out, beside what was saved


@given(st.lists(_tables, unique_by=lambda table: table.name), st.randoms(use_true_random=False))
def test_the_same_tables_differ_in_nothing_whatever_their_order(tables: list[Table], chance: random.Random) -> None:
    assert difference(tables, chance.sample(tables, len(tables))) is None


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ([], "a is missing"),
        ([Table("a", 2, "7"), Table("b", 0, "0")], "b is new"),
        ([Table("a", 1, "7")], "a has 1 rows and not 2"),
        ([Table("a", 2, "8")], "the rows of a are others"),
    ],
)
def test_what_differs_is_named(found: list[Table], problem: str) -> None:
    assert difference([Table("a", 2, "7")], found) == problem


def test_the_roles_are_made_without_the_one_that_is_there(tmp_path: Path) -> None:
    kept = 'CREATE ROLE student_too;\nALTER ROLE student WITH LOGIN;\nCREATE ROLE "Reader\'s";\n'
    text = f"-- Roles\n\nCREATE ROLE student;\n{kept}"
    assert _roles(tmp_path / "plain.zip", "student", text) == f"-- Roles\n\n{kept}"


def test_a_name_with_quotes_and_wildcards_is_found_too(tmp_path: Path) -> None:
    text = 'CREATE ROLE "a.c (1)";\nCREATE ROLE "abc (1)";\n'
    assert _roles(tmp_path / "odd.zip", "a.c (1)", text) == 'CREATE ROLE "abc (1)";\n'


def test_grants_of_the_first_role_are_those_of_the_role_here(tmp_path: Path) -> None:
    text = "GRANT team TO app WITH INHERIT TRUE GRANTED BY student;\nGRANT team TO app GRANTED BY boss;\n"
    own = text.replace("BY student", 'BY "stackctl_admin"')
    assert _roles(tmp_path / "before.zip", "student", text) == own
    assert _roles(tmp_path / "now.zip", "student", text, admin="stackctl_admin") == text
    assert _roles(tmp_path / "admin.zip", "student", "CREATE ROLE stackctl_admin;\n") == ""


def _roles(path: Path, user: str, text: str, admin: str | None = None) -> str:
    """What is run of the roles of a snapshot. `admin`: the first role of the server that it was made of."""
    with Writer(path) as writer:
        with writer.member("db/roles.sql") as sink:
            sink.write(text.encode())
        with writer.member("db/1.dump.zst") as dump:
            dump.write(DUMP)
        database = SavedDatabase("notes", "UTF8", 1, dump.member, ())
        component = SavedComponent("18.1", user, "notes", "store", sink.member, (database,), admin=admin)
        writer.finish(replace(manifest(), components={"db": pack(component)}))
    with opened(path) as archive:
        return b"".join(loading._roles(archive, component, "stackctl_admin")).decode()


# The formats that data comes in

_PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("how", _PACKINGS)
@given(text=st.text(min_size=1).filter(lambda text: "\0" not in text and not text.startswith(("PGDMP", "PK\3\4"))))
@example(text="-- é\n" * 10000)
def test_any_text_is_sql_and_none_of_it_is_lost(how: str, text: str) -> None:
    plain, kind = unpacked(io.BytesIO(_PACKINGS[how](text.encode())), "it")
    assert kind == "sql"
    assert plain.read() == text.encode()


@pytest.mark.parametrize("how", _PACKINGS)
def test_a_custom_dump_is_known_however_it_is_packed(how: str) -> None:
    plain, kind = unpacked(io.BytesIO(_PACKINGS[how](DUMP)), "it")
    assert kind == "custom"
    assert plain.read() == DUMP


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    reading, writing = os.pipe()
    with open(reading, "rb") as source, open(writing, "wb", buffering=0) as sink:
        yield source, sink


@pytest.mark.parametrize("how", _PACKINGS)
def test_a_pipe_that_gives_a_byte_at_a_time_is_known_too(how: str, pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    source, sink = pipe

    def trickle() -> None:
        with sink:
            for byte in _PACKINGS[how](DUMP):
                sink.write(bytes([byte]))

    writer = threading.Thread(target=trickle)
    writer.start()
    plain, kind = unpacked(source, "it")
    assert (kind, plain.read()) == ("custom", DUMP)
    writer.join()


@pytest.mark.parametrize("how", _PACKINGS)
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it is empty"),
        (b"SELECT 1;\0", "it is neither SQL nor a dump"),
        (bytes(range(256)), "it is neither SQL nor a dump"),
        (b"PK\3\4 and more", "it is a zip"),
    ],
    ids=["empty", "text with a zero", "binary", "zip"],
)
def test_what_is_no_dump_is_refused(how: str, data: bytes, problem: str) -> None:
    with pytest.raises(StackError, match=problem) as raised:
        unpacked(io.BytesIO(_PACKINGS[how](data)), "it")
    assert raised.value.code == "load-format"


@pytest.mark.parametrize("name", ["notes.sql.gz", "notes.sql.zst"])
def test_what_was_packed_by_us_and_is_damaged_can_not_be_read_to_its_end(name: str) -> None:
    file = io.BytesIO()
    with ExitStack() as stack:
        packing(Path(name), file, stack).write(random.Random(7).randbytes(5000).hex().encode())
    packed = file.getvalue()
    for damaged in (packed[:-1000], packed[:300] + bytes(100) + packed[400:], packed[:-2] + b"??"):
        with pytest.raises((OSError, EOFError)):
            unpacked(io.BytesIO(damaged), name)[0].read()
