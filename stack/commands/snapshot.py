"""`stackctl snapshot save`, `list`, `show` and `delete`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stack.controls import visible
from stack.encoding import extended
from stack.errors import StackError
from stack.progress import Progress
from stack.report import Report, size
from stack.results.stored import (
    ListedSnapshot,
    SavedComponent,
    SavedTable,
    SnapshotContent,
    SnapshotDeleted,
    SnapshotList,
    SnapshotSaved,
    SnapshotShown,
    UnusableSnapshot,
)
from stack.settings import Settings
from stack.snapshots.archive import opened as open_archive
from stack.snapshots.manifest import Manifest, Saved
from stack.snapshots.store import SnapshotEntry, SnapshotStore
from stack.style import Column, Style, table
from stack.workflow.access import unsaved
from stack.workflow.confirming import Confirm
from stack.workflow.keeping import save
from stack.workflow.opening import change, look

_LIST = (
    Column("NAME", least=12), Column("MADE"), Column("WHY"), Column("ROWS", right=True), Column("DATA", right=True),
    Column("ON DISK", right=True),
)  # fmt: skip
_SHOW = (
    Column("COMPONENT"), Column("DATABASE"), Column("TABLE", least=12, keeps="end"), Column("ROWS", right=True),
    Column("CHECKSUM", least=12),
)  # fmt: skip


def save_snapshot(
    settings: Settings, progress: Progress, name: str | None, output: Path | None
) -> Report[SnapshotSaved]:
    """Save the data of all databases while they serve, under a name or into a file."""
    with change(settings, progress) as opened:
        opened.engine.check()
        snapshots = SnapshotStore(settings.state_root, opened.instance.name)
        path, manifest = save(opened, snapshots, name, "asked", progress, output)
        left_out = unsaved(opened.instance.stack.whole)
    taken = path.stat().st_size
    text = f"{manifest.name} is saved: {manifest.holds}, {size(taken)} ({path})"
    text = "\n".join([text, *(f"{each} is not saved: backup=False" for each in left_out)])
    data = extended(SnapshotSaved, _content(manifest), path=path, bytes=taken, unsaved=left_out)
    return Report("snapshot save", text, data)


def list_snapshots(settings: Settings) -> Report[SnapshotList]:
    """All snapshots of the instance, the newest first, and what they take."""
    snapshots = _snapshots(settings)
    items = snapshots.items()
    total = sum(item.bytes for item in items)
    rows = [_row(item) for item in items]

    def text(style: Style) -> str:
        return (
            f"{table(_LIST, rows, style)}\n{size(total)} in {style.path(snapshots.folder)}" if rows else "no snapshots"
        )

    return Report.drawn("snapshot list", text, SnapshotList(total, tuple(map(_listed, items))))


def show_snapshot(settings: Settings, name: str | None, file: Path | None) -> Report[SnapshotShown]:
    """What is in a snapshot, table by table, after every byte of it was checked."""
    path = file or _snapshots(settings).find(name or "")
    with open_archive(path) as archive:
        archive.verify()
        manifest = archive.manifest
    rows = [
        (component, visible(each.group), visible(each.name), str(each.rows), each.checksum)
        for component, saved in manifest.components.items()
        for each in saved.contents
    ]
    versions = ", ".join(f"{name} {_product(saved)}" for name, saved in manifest.components.items())
    above = [
        f"{manifest.name}: {_why(manifest)}, {manifest.made.astimezone():%Y-%m-%d %H:%M:%S}, it is whole",
        f"of the instance {manifest.instance} of {manifest.stack} on {manifest.engine}; {versions}",
        "",
    ]

    def text(style: Style) -> str:
        return "\n".join([*map(style.wrapped, above), table(_SHOW, rows, style) if rows else "no tables"])

    return Report.drawn("snapshot show", text, extended(SnapshotShown, _content(manifest), path=path))


def delete_snapshot(settings: Settings, progress: Progress, name: str, confirm: Confirm) -> Report[SnapshotDeleted]:
    """Delete a snapshot, after saying what it holds. No command that reads it is cut off."""
    with change(settings, progress) as opened:
        snapshots = SnapshotStore(settings.state_root, opened.instance.name)
        path = snapshots.find(name)
        (item,) = [each for each in snapshots.items() if each.path == path]
        holds = f"{item.manifest.holds}, {_why(item.manifest)}" if item.manifest else item.problem
        if not confirm(f"This deletes the snapshot {name} ({holds}, {size(item.bytes)})."):
            raise StackError("cancelled", "nothing was deleted", "answer y, or say --yes, to delete")
        path.unlink()
    return Report("snapshot delete", f"{name} is deleted", SnapshotDeleted(name, item.bytes))


def _snapshots(settings: Settings) -> SnapshotStore:
    return SnapshotStore(settings.state_root, look(settings).instance.name)


def _product(saved: Saved) -> str:
    """What it is of, for people: `postgres 18.6`."""
    return f"{saved.format.partition('/')[0]} {saved.version}".strip()


def _why(manifest: Manifest) -> str:
    if manifest.automatic:
        return f"before {manifest.reason}"
    return "by `init --adopt`" if manifest.reason == "adopt" else "by `snapshot save`"


def _row(item: SnapshotEntry) -> tuple[str, ...]:
    if item.manifest is None:
        return (visible(item.name), "-", "can't be used", "-", "-", size(item.bytes))
    made = f"{item.manifest.made.astimezone():%Y-%m-%d %H:%M:%S}"
    rows, data = str(item.manifest.rows), size(item.manifest.size)
    return (visible(item.name), made, _why(item.manifest), rows, data, size(item.bytes))


def _listed(item: SnapshotEntry) -> ListedSnapshot | UnusableSnapshot:
    if item.manifest is None:
        return UnusableSnapshot(item.problem, item.name, item.path, item.bytes)
    content = replace(_content(item.manifest), name=item.name)
    return extended(ListedSnapshot, content, path=item.path, bytes=item.bytes)


def _content(manifest: Manifest) -> SnapshotContent:
    return SnapshotContent(
        name=manifest.name,
        reason=manifest.reason,
        made=manifest.made.replace(microsecond=0),
        instance=manifest.instance,
        stack=manifest.stack,
        engine=manifest.engine,
        rows=manifest.rows,
        components={name: _component(saved) for name, saved in manifest.components.items()},
    )


def _component(saved: Saved) -> SavedComponent:
    databases: dict[str, tuple[SavedTable, ...]] = {}
    for each in saved.contents:
        table = SavedTable(each.name, each.rows, each.checksum)
        databases[each.group] = (*databases.get(each.group, ()), table)
    return SavedComponent(saved.format, saved.version, databases)
