"""Make a branch: an instance that begins with a copy of the data of another one, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from stack.errors import StackError
from stack.progress import Progress
from stack.registry import Registry
from stack.settings import Settings
from stack.workflow.asked import Switches
from stack.workflow.blockers import version_differs
from stack.workflow.branching import Copied, copy_data, inherited, settle_data
from stack.workflow.identities import data_version
from stack.workflow.journal import Journal
from stack.workflow.keeping import with_data
from stack.workflow.opened import Opened, whole
from stack.workflow.opening import change, look, with_parameters
from stack.workflow.parameters import find_parameters, inherit_secrets
from stack.workflow.ports import registered, registered_again


@contextmanager
def branched(settings: Settings, theirs: Settings, progress: Progress) -> Iterator[tuple[Opened, Copied]]:
    """Make the branch that `settings` name of the instance that `theirs` name, and hold its lock for the block.

    It has its data then, and was never up. Raises `branch-exists`, `data-version`, `branch-refused`, `branch-failed`,
    and `disk-full`, and leaves nothing of it.
    """
    parent = look(theirs)
    require_parent(parent, settings.instance)
    if settings.engine not in (None, parent.engine.name):
        raise StackError(
            "engine-differs",
            f"{parent.instance.name} is on the engine {parent.engine.name}, and so are its branches; "
            f"{settings.engine} was asked for",
            "leave --engine and STACKCTL_ENGINE out",
        )
    own = replace(settings, engine=parent.engine.name, host=parent.instance.host)
    groups = Switches(on=parent.record.groups, publish=parent.record.published)
    with change(own, progress, system_binaries=parent.record.system_binaries, parameters=False, groups=groups) as new:
        _require_free(new)
        new.engine.check()
        _require_its_version(new, parent)
        with _unfinished(new, own):
            inherit_secrets(new.state, parent.state, new.instance.stack)
            new = _inheriting(new, own, parent, theirs)
            # What removes it if this is killed finds by it what there is.
            new.state.remember(new.record)
            with registered(new, own) as ready:
                ready.state.remember(ready.record)
                copied = _copied(theirs, ready, progress)
                settle_data(ready, copied, progress)
                # A copy can take minutes, in which nothing keeps a port free.
                with registered_again(ready, own) as again:
                    again.state.remember(again.record)
                    again.state.finish()
                    yield again, copied


def require_parent(parent: Opened, name: str | None) -> None:
    """Raise what keeps an instance from having a branch of that name."""
    own = parent.instance.name
    if own == name:
        raise StackError("branch-exists", f"{name} is the instance itself", "give the branch another name")
    if not parent.state.exists():
        raise StackError("instance-down", f"{own} does not exist, so nothing can be copied", "run `stackctl up` first")


def require_same_place(branch: Opened, parent: Opened) -> None:
    """Raise `engine-differs` for a branch on another engine or server than its parent: one of them was moved."""
    places = [each.instance.host or each.engine.name for each in (branch, parent)]
    if places[0] != places[1]:
        name, own = branch.instance.name, parent.instance.name
        raise StackError(
            "engine-differs",
            f"{name} is on {places[0]}, and {own} on {places[1]}: data is copied on one engine and machine alone",
            f"`stackctl --instance {name} move --to {places[1]}` moves the branch there",
        )


def _require_free(new: Opened) -> None:
    """Raise `branch-exists` if there is an instance of that name, or what is left of one."""
    name = new.instance.name
    if new.state.exists():
        hint = f"choose another name, or `stackctl branch delete {name}` first"
        if not new.record.parent:
            hint = f"choose another name, or `stackctl --instance {name} reset` first"
        raise StackError("branch-exists", f"there is an instance {name} already; nothing was changed", hint)
    if left := new.engine.volumes.existing():
        raise StackError(
            "branch-exists",
            f"there is data of an instance {name} whose state is lost: {', '.join(left)}; nothing was changed",
            f"choose another name; or if none of it is needed, `stackctl --instance {name} reset` first",
        )


def _require_its_version(new: Opened, parent: Opened) -> None:
    """Raise `data-version` if a branch would run another major version than that of the data of its parent."""
    made, own, stack = whole(parent), parent.instance.name, whole(new).instance.stack
    for name in with_data(made):
        data = stack[name].data if name in stack.names else None
        version = data_version(made, parent.state.applied(), name) if data is not None else None
        declared = whole(new).engine.version(name) if data is not None else None
        if data is None or version is None or declared is None or version == declared:
            continue
        hint = f"declare version={version} again"
        if version < declared:
            hint = f"`stackctl --instance {own} upgrade {name} --to {declared}` first; or {hint}"
        raise version_differs(name, data.product, version, str(declared)).hinting(hint)


@contextmanager
def _unfinished(new: Opened, settings: Settings) -> Iterator[None]:
    """Mark a branch as unfinished, and leave nothing of it if the block fails before it is finished."""
    new.state.begin()
    try:
        yield
    except BaseException:
        if new.state.unfinished:
            new.engine.destroy()
            new.state.delete()
            Registry(settings.registry).remove(new.instance.project)
        raise


def _inheriting(new: Opened, own: Settings, parent: Opened, theirs: Settings) -> Opened:
    """Return a branch with the parameters of its parent, and a record that names that."""
    found = find_parameters(own, new.instance.stack, new.state, parent.record.parameters)
    record = replace(
        new.record,
        parameters=parent.record.parameters,
        parent=str(parent.state.folder),
        parent_file=str(theirs.file),
    )
    return with_parameters(replace(new, record=record, parameters=found), own)


def _copied(theirs: Settings, new: Opened, progress: Progress) -> Copied:
    """Copy the data of the parent, with its lock, and record what is known of it."""
    stack = new.instance.stack
    for secret in (*stack.whole.secrets("container"), *stack.secrets(new.engine.traits.target)):
        new.state.provide_secret(secret.id)
    with change(theirs, progress, parameters=False) as source:
        copied = copy_data(source, new, progress)
        applied = source.state.applied()
    journal = Journal(new.state)
    journal.save(inherited(journal.applied, new, applied, source, copied.names))
    return copied
