"""`stackctl reset`: delete an instance with its data, after saying what that is."""

from __future__ import annotations

from pathlib import Path

from stack.errors import StackError
from stack.observed import Leftovers
from stack.operations.confirming import Confirm
from stack.operations.keeping import save, with_data
from stack.operations.opening import Opened, change
from stack.operations.planning import remember_wanted
from stack.operations.replacing import quiet
from stack.progress import Progress
from stack.registry import Registry
from stack.report import Report
from stack.settings import Settings
from stack.snapshots.shelf import Shelf


def reset(settings: Settings, progress: Progress, confirm: Confirm, saves: bool = True) -> Report:
    """Delete containers, networks, volumes, built images and state. `confirm` decides.

    What its databases hold is saved first, for `stackctl undo`, unless not `saves`.
    """
    with change(settings, progress) as opened:
        name = opened.instance.name
        left = opened.engine.leftovers()
        if not left and not opened.state.exists():
            return Report("reset", f"{name}: there is nothing to delete", {"instance": name, "deleted": {}})
        held = with_data(opened)
        saves = saves and bool(held)
        if not confirm(_announcement(opened, left, bool(held), saves)):
            raise StackError("cancelled", "nothing was deleted", "answer y, or say --yes, to delete")
        saved = _save(settings, opened, progress) if saves else None
        progress.step(f"{name}: deleting")
        remember_wanted(opened, "down")
        opened.engine.destroy()
        deleted = _data(opened, left)
        opened.state.delete()
        Registry(settings.registry).remove(opened.instance.project)
    text = f"{name} is deleted, its data included"
    text += f"; `stackctl undo` brings it back ({saved.name})" if saved else ""
    data = {"instance": name, "deleted": deleted, "snapshot": str(saved) if saved else None}
    return Report("reset", text, data)


def _save(settings: Settings, opened: Opened, progress: Progress) -> Path:
    try:
        with quiet(opened, progress):
            path, _ = save(opened, Shelf(settings.state_root, opened.instance.name), None, "reset", progress)
    except StackError as error:
        raise error.hinting(
            f"nothing was deleted; `stackctl reset --no-snapshot` deletes without saving; {error.hint}"
        ) from error
    return path


def _announcement(opened: Opened, left: Leftovers, held: bool, saves: bool) -> str:
    lines = [f"This deletes the instance {opened.instance.name!r} with all of its data:"]
    lines += [f"  {kind}: {', '.join(names)}" for kind, names in _data(opened, left).items() if names]
    if held:
        after = (
            "saved first: `stackctl undo` brings them back" if saves else "NOT saved first: nothing brings them back"
        )
        lines.append(f"Its databases are {after}.")
    return "\n".join(lines)


def _data(opened: Opened, left: Leftovers) -> dict[str, list[str]]:
    return {
        "volumes": list(left.volumes),
        "containers": list(left.containers),
        "networks": list(left.networks),
        "images": list(left.images),
        "state": [str(opened.state.folder)] if opened.state.exists() else [],
    }
