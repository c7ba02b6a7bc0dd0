"""`stackctl init --adopt`: begin an instance with the data of a Compose project, which stays as it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from stack.errors import Interrupted, StackError, UsageError
from stack.importing.names import component_names
from stack.progress import Progress
from stack.report import Report
from stack.results.stored import AdoptResult
from stack.settings import Settings
from stack.snapshots.store import SnapshotStore
from stack.workflow.adopting import match, save_foreign
from stack.workflow.keeping import with_data
from stack.workflow.opening import change, look
from stack.workflow.ports import check_ports
from stack.workflow.restoring import bring_back


def adopt(settings: Settings, progress: Progress, name: str, timeout: float = 120) -> Report[AdoptResult]:
    """Save the data of a Compose project as a snapshot, and begin the instance with that, compared row by row.

    Services are found by the names of the components. Raises `project-unknown`, `nothing-to-save`, and what saving and
    restoring data raise; then nothing of the instance runs and it has no data. If only the `up` with the data fails,
    the instance has it, and the error says so.
    """
    with change(settings, progress) as opened:
        opened.engine.check()
        instance = opened.instance.name
        if held := with_data(opened):
            raise UsageError(
                f"{instance} has data of its own: {', '.join(held)}",
                "`stackctl reset` deletes it; or name another instance with --instance",
            )
        project = opened.engine.foreign(name)
        # As `init --from` names them, whatever comes first in the project.
        names = component_names(sorted(project.services))
        found, missing = match(opened, project, {name: service for service, name in names.items()})
        if not found:
            raise StackError(
                "nothing-to-save",
                f"no service of {name} has the data of a component; it has: {', '.join(project.services)}",
                "call the component in the stack file as the service was called",
            )
        # The project may have them: its data is read just as well while it is stopped.
        before = opened.engine.observe()
        check_ports(opened, before)
        snapshots = SnapshotStore(settings.state_root, instance)
        snapshot = f"from-{name}-{datetime.now(UTC):%Y-%m-%d-%H%M%S}"
        path, manifest = save_foreign(opened, project, found, snapshots, snapshot, progress)
        notices = tuple(f"{each}: {name} has no service with its data" for each in missing)
        notices += tuple(
            f"{volume.name}: begins empty, because backup=False keeps it out of snapshots"
            for volume in opened.instance.stack.shared_volumes.values()
            if not volume.backup
        )
        if moving := [each.service for each in found if each.data.cold and each.service in project.running]:
            notices += (f"{', '.join(moving)}: its files were read while it ran, and may have changed meanwhile",)
        services = ", ".join(sorted({each.service for each in found}))
        told = [
            f"{instance} has the data of {services} of {name} ({manifest.holds})",
            *(f"note: {notice}" for notice in notices),
            f"{name} is as it was; `docker compose -p {name} down` removes its containers once they are not needed",
        ]
        try:
            report = bring_back(
                settings, opened, progress, lambda _: True, path, "restore", False, False, timeout, "\n".join(told)
            )
        except BaseException as error:
            if with_data(look(settings)):
                raise _begun(instance, error) from error
            path.unlink(missing_ok=True)
            if not before.exists:
                opened.engine.down()
            raise
    taken = {each.name: manifest.components[each.name].rows for each in found}
    data = AdoptResult(instance, name, snapshot, taken, missing=tuple(missing), notices=notices)
    return cast(Report[AdoptResult], replace(cast(Report[object], report), command="init", data=data))


def _begun(instance: str, error: BaseException) -> BaseException:
    """Return what ended an adoption whose data is in place already: to adopt it again would be refused."""
    if isinstance(error, KeyboardInterrupt):
        return Interrupted(f"{instance} has the data already", "`stackctl up` starts it")
    if isinstance(error, StackError):
        return error.hinting(f"{instance} has the data already, so go on with `stackctl up`; {error.hint}")
    return error
