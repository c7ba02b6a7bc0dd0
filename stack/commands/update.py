"""`stackctl update`: pin the images of a stack to their newest digests, in a file beside the stack file."""

from __future__ import annotations

from collections.abc import Sequence

from stack.errors import ExitCode, UsageError
from stack.pins import LOCK_FILE, read_pins, write_pins
from stack.progress import Progress
from stack.report import Report
from stack.results.images import ImageUpdate, UpdateResult
from stack.settings import PLAYGROUND, Settings
from stack.style import DIM, GREEN, YELLOW, Style
from stack.workflow.choosing import default_unseen
from stack.workflow.finding import find_component
from stack.workflow.opened import whole
from stack.workflow.opening import look

_SHOWN = len("sha256:") + 12


def update(
    settings: Settings, progress: Progress, names: Sequence[str] = (), dry_run: bool = False
) -> Report[UpdateResult]:
    """Look up the digests of the images that components run, of all or of those named, and pin them.

    With `dry_run` it writes nothing, and ends with 3 if an image is newer than its pin. Raises `registry-unavailable`.
    """
    if settings.file == PLAYGROUND:
        raise UsageError(
            f"the playground has no stack file of its own to write {LOCK_FILE} beside", "name yours with --file"
        )
    opened = whole(look(settings, choose=default_unseen))
    for name in names:
        find_component(opened.instance, name)
    stack = opened.instance.stack
    users: dict[str, tuple[str, ...]] = {}
    for name in stack.names:
        image = stack.workload(name, "container").image
        # What names its digest itself never moves.
        if image is not None and "@" not in image:
            users[image] = (*users.get(image, ()), name)
    asked = [image for image, components in users.items() if not names or set(components) & set(names)]
    progress.step(f"looking up {', '.join(asked) or 'nothing'}")
    newest = opened.engine.newest(asked) if asked else {}
    before = read_pins(settings.file.parent)
    # What no component runs any more is left out; another stack file of this folder may still name it.
    pins = {**before, **newest}
    changes = pins != before
    found = tuple(ImageUpdate(each, users[each], before.get(each), newest[each]) for each in asked)
    path = settings.file.parent / LOCK_FILE
    if changes and not dry_run:
        path = write_pins(settings.file.parent, pins)
    data = UpdateResult(found, path, changes, changes and not dry_run)

    def text(style: Style) -> str:
        return "\n".join([*(_line(each, style) for each in found), _conclusion(data)])

    return Report.drawn("update", text, data, int(ExitCode.CHANGES if changes and dry_run else ExitCode.DONE))


def _line(each: ImageUpdate, style: Style) -> str:
    users, newest = ", ".join(each.components), each.newest[:_SHOWN]
    if each.pinned == each.newest:
        return style.paint(f"= {users}: {each.image} is {newest}, the newest", DIM)
    if each.pinned is None:
        return style.paint(f"+ {users}: {each.image} → {newest}", GREEN)
    return style.paint(f"~ {users}: {each.image} {each.pinned[:_SHOWN]} → {newest}", YELLOW)


def _conclusion(data: UpdateResult) -> str:
    if not data.images:
        return "the stack runs no image of a registry: there is nothing to pin"
    if not data.changes:
        return f"{data.file.name} has the newest of all"
    if not data.written:
        return f"`stackctl update` pins this in {data.file.name}"
    return f"pinned in {data.file}; `stackctl up` uses it"
