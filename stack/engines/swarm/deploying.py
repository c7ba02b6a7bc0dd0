"""Deploy components step by step: each when those that it waits for are well, and until Swarm has replaced all tasks.

Swarm itself starts everything at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Self

from stack.engines.process import Job
from stack.engines.swarm import pulling
from stack.engines.swarm.observe import Seen, Service, failure_words, lacks_image
from stack.errors import StackError
from stack.model import Stack

_POLL = 0.25
_FAILED = 1
# A node was chosen, and gets the image; or it could not.
_PREPARING = ("assigned", "accepted", "preparing", "rejected")
Look = Callable[[], Seen]


def steps(stack: Stack, names: Collection[str]) -> list[list[str]]:
    """Sort components into steps, each with those that wait for none but those before it."""
    left = [name for name in stack.order.names if name in names]
    found: list[list[str]] = []
    while left:
        free = [name for name in left if not set(left).intersection(stack.order.below(name))]
        found.append(free or left)
        left = [name for name in left if name not in found[-1]]
    return found


class Deployment:
    """The deployment of some components, in a thread of its own; see `stack.engines.process.Job`.

    `deploy` deploys those of one step, `look` reads what there is, `is_well` says of a component whether it works, and
    `read` reads the last lines of a task, by its id.
    """

    def __init__(
        self,
        steps: Sequence[Sequence[str]],
        deploy: Callable[[Sequence[str]], None],
        look: Look,
        is_well: Callable[[Seen, str], bool],
        read: Callable[[str], str],
    ) -> None:
        self._steps = steps
        self._deploy = deploy
        self._look = look
        self._is_well = is_well
        self._read = read
        self._pulled: set[str] = set()
        self._ended = threading.Event()
        self._cancelled = threading.Event()
        self._error: StackError | None = None
        self._crash: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> int | None:
        if not self._ended.wait(seconds):
            return None
        if self._crash is not None:
            raise self._crash
        return 0 if self._error is None else _FAILED

    @property
    def output(self) -> str:
        return "" if self._error is None else self._error.output

    def explain(self) -> StackError:
        assert self._error is not None  # noqa: S101 - it failed
        return self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cancelled.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for number, names in enumerate(self._steps, 1):
                if self._cancelled.is_set():
                    return
                before = {name: service.update_status for name, service in self._look().services.items()}
                self._deploy(names)
                self._await(names, before, well=number < len(self._steps))
        except StackError as error:
            self._error = error
        except BaseException as error:
            self._crash = error
        finally:
            self._ended.set()

    def _await(self, names: Collection[str], before: Mapping[str, Mapping[str, object]], well: bool) -> None:
        """Wait until the tasks of services are those that are declared; with `well` until they work too.

        `before`: how the last update of each went until then.
        """
        while not self._cancelled.wait(_POLL):
            seen = self._look()
            services = {name: service for name, service in seen.services.items() if name in names}
            for service in services.values():
                is_new = service.update_status != before.get(service.component)
                if is_new and service.taken_back and not service.moving:
                    raise _taken_back(seen, service, self._read)
                if not (is_new and service.update):
                    self._check_images(seen, service)
            moving = any(
                each.moving or len(each.slots) < each.wanted or _is_prepared(each) for each in services.values()
            )
            if (
                len(services) == len(names)
                and not moving
                and not (well and not all(self._is_well(seen, each) for each in names))
            ):
                return

    def _check_images(self, seen: Seen, service: Service) -> None:
        """Raise `image-unavailable` or `disk-full` if a node can't pull what a new service runs."""
        last = [task for slot in service.slots for task in (slot.task, *slot.failed[:1])]
        for task in filter(lacks_image, last):
            node = seen.node_of(task)
            if node is not None and task["ID"] not in self._pulled:
                self._pulled.add(task["ID"])
                if (error := pulling.failure(service.component, task, node)) is not None:
                    error.component = service.component
                    raise error


class Recorded:
    """A job after which something is done, if it ends well; see `stack.engines.process.Job`."""

    def __init__(self, job: Job, record: Callable[[], None]) -> None:
        self._job = job
        self._record = record
        self._done = False

    def wait(self, seconds: float) -> int | None:
        exit_code = self._job.wait(seconds)
        if exit_code == 0 and not self._done:
            self._record()
            self._done = True
        return exit_code

    @property
    def output(self) -> str:
        return self._job.output

    def explain(self) -> StackError:
        return self._job.explain()

    def __enter__(self) -> Self:
        self._job.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._job.__exit__(kind, error, trace)


def _is_prepared(service: Service) -> bool:
    return any(slot.task["Status"]["State"] in _PREPARING for slot in service.slots)


def _taken_back(seen: Seen, service: Service, read: Callable[[str], str]) -> StackError:
    """Return the error of an update that Swarm has taken back, with the node on which what is new failed, and why."""
    name = service.component
    task = _last_failed(seen, service)
    which = f"replica {task.get('Slot')} of {name}" if task is not None and service.wanted > 1 else name
    node = seen.node_of(task) if task is not None else None
    where = f" on the node {node.name}" if node is not None else ""
    why = f": {failure_words(task)}" if task is not None else ""
    if task is not None and node is not None and lacks_image(task):
        lacking = pulling.failure(name, task, node)
        if lacking is not None:
            lacking.message += "; Swarm runs the version before again"
            lacking.component = name
            return lacking
    error = StackError(
        "update-taken-back",
        f"the new version of {which} failed{where}{why}; Swarm runs the one before again",
        f"read `stackctl logs {name}`, fix the cause and run `stackctl up` again; no data was touched",
        read(str(task["ID"])) if task is not None else "",
    )
    error.component = name
    return error


def _last_failed(seen: Seen, service: Service) -> Mapping[str, object] | None:
    """Find the last task that failed, of what is no longer declared to Swarm."""
    own = [task for task in seen.tasks if task["ServiceID"] == service.service["ID"]]
    failed = [task for task in own if task["Status"]["State"] in ("failed", "rejected")]
    return max(failed, key=lambda task: str(task["Status"]["Timestamp"]), default=None)
