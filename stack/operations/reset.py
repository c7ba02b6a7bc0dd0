"""`stackctl reset`: delete an instance with its data, after saying what that is."""

from __future__ import annotations

from collections.abc import Callable

from stack.errors import StackError
from stack.observed import Leftovers
from stack.operations.opening import Opened, open_instance
from stack.progress import Progress
from stack.registry import Registry
from stack.report import Report
from stack.settings import Settings

Confirm = Callable[[str], bool]
"""Shows what will be deleted and asks; raises `StackError` where nobody can answer."""


def reset(settings: Settings, progress: Progress, confirm: Confirm) -> Report:
    """Delete containers, networks, volumes, built images and state. `confirm` decides."""
    opened = open_instance(settings)
    name = opened.instance.name
    left = opened.engine.leftovers()
    if not left and not opened.state.exists():
        return Report("reset", f"{name}: there is nothing to delete", {"instance": name, "deleted": {}})
    if not confirm(_announcement(opened, left)):
        raise StackError("cancelled", "nothing was deleted", "answer y, or say --yes, to delete")
    with opened.state.locked(progress):
        progress.step(f"{name}: deleting")
        opened.engine.destroy()
        deleted = _data(opened, left)
        opened.state.delete()
        Registry(settings.registry).remove(opened.instance.project)
    return Report("reset", f"{name} is deleted, its data included", {"instance": name, "deleted": deleted})


def _announcement(opened: Opened, left: Leftovers) -> str:
    lines = [f"This deletes the instance {opened.instance.name!r} with all of its data:"]
    lines += [f"  {kind}: {', '.join(names)}" for kind, names in _data(opened, left).items() if names]
    return "\n".join(lines)


def _data(opened: Opened, left: Leftovers) -> dict[str, list[str]]:
    return {
        "volumes": list(left.volumes),
        "containers": list(left.containers),
        "networks": list(left.networks),
        "images": list(left.images),
        "state": [str(opened.state.folder)] if opened.state.exists() else [],
    }
