"""What a user declares of a schedule, and what it runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, replace
from typing import TYPE_CHECKING, ClassVar

from stack.beside import Beside
from stack.capabilities import Host, Timetable
from stack.checking import checked_plain
from stack.components.container import Container
from stack.components.webapp import WebApp
from stack.frozen import dataclass
from stack.parts import folders
from stack.references import Reference, Value
from stack.workload import File, Target, Volume, VolumeId, Workload

if TYPE_CHECKING:
    from stack.components.schedule.cron import Cron

# No key of a declared file has a dot.
_SCRIPT = "schedule.sh"
_SCRIPT_PLACE = "/usr/local/lib/stackctl/schedule.sh"
_VOLUME = "schedule"
_VOLUME_PLACE = "/var/lib/stackctl/schedule"
_FIELDS = ("minutes", "hours", "days", "months", "weekdays")


@dataclass(frozen=True)
class Schedule(Beside):
    """A command that runs at the times of a cron line, in a container or process that waits for them.

    - `of`: the app whose image, source, environment, volumes and `uses` it has, and with which it waits for a `Job`
      before that; or give it its own `image` or `source`.
    - `command`: what it runs; a list of words, or a text that is split into words. `entrypoint`: words before these, in
      the place of those of the image.
    - `cron`: five fields, `"30 3 * * 1-5"`; in UTC.
    - `environment`: beside that of the app, and before it. `volumes`: beside those of the app. `uses`: in the place of
      those of the app. `after`, `reaches`: as those of an app, beside what the app has.
    - `user`: that of the app, if it is None.

    It runs one at a time: what is due while the last run goes on is not run. Nor is what was due while it did not run,
    but for the last two minutes. Both are counted, and noted in its log. A run that fails is noted too, and nothing
    else: the next one comes at its time. When it is stopped, what runs is asked to end.

    Its image needs `sh`. It reaches the internet. What else it has, each `Program` has. Raises `DeclarationError` for a
    wrong value.
    """

    of: WebApp | Container | None = None
    _: KW_ONLY
    cron: str = ""

    _KINDS: ClassVar[tuple[type, ...]] = (WebApp, Container)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.command is None and self.entrypoint is None:
            raise self.wrong("command", "is missing: say what runs at these times, as words")
        if _VOLUME in folders(self.volumes):
            raise self.wrong(f"volumes/{_VOLUME}", "is where it notes its runs; choose another name")
        self._freeze("cron", self.times.line)

    def _places(self) -> Collection[str]:
        return (*super()._places(), _SCRIPT_PLACE, _VOLUME_PLACE)

    @property
    def times(self) -> Cron:
        """The times of its cron line. Raises `DeclarationError` for a wrong one."""
        # Its library takes a while to load, and most stacks have no schedule.
        from stack.components.schedule.cron import parse

        try:
            return parse(checked_plain(self, "cron", self.cron))
        except ValueError as error:
            raise self.wrong("cron", f"{self.cron!r} {error}") from error

    @property
    def role(self) -> str:
        return "schedule"

    @property
    def follows(self) -> tuple[str, ...]:
        return self.shares

    @property
    def timetable(self) -> Timetable:
        from stack.components.schedule.timetable import ScheduleTimes

        return ScheduleTimes(self.times)

    def workload(self, target: Target) -> Workload:
        own = super().workload(target)
        start: tuple[Value, ...] = ("sh", Reference(self.name, "file", _SCRIPT), self.cron)
        if own.entrypoint is None:
            own = replace(own, command=(*start, *(own.command or ())))
        else:
            own = replace(own, entrypoint=(*start, *own.entrypoint))
        volume = Volume(
            VolumeId.of(self.name, _VOLUME),
            f"{self.name}-{_VOLUME}",
            _VOLUME_PLACE,
            owned=True,
            backup=False,
            open=True,
        )
        if target == "container":
            own = replace(own, files=(*own.files, File(f"{self.name}.{_SCRIPT}", _SCRIPT_PLACE, self._script())))
        return replace(
            own,
            environment={**own.environment, "STACKCTL_SCHEDULE": Reference(self.name, "volume", _VOLUME)},
            volumes=(*own.volumes, volume),
            singleton=True,
        )

    def process_files(self, host: Host) -> Mapping[str, str]:
        return {_SCRIPT: self._script()}

    def _script(self) -> str:
        from stack.components.schedule.runner import FALLBACK, SCRIPT

        times = self.times
        sets = {field: " ".join(map(str, numbers)) for field, numbers in zip(_FIELDS, times.sets, strict=True)}
        return SCRIPT.format(**sets, either="yes" if times.either else "no", fallback=FALLBACK)
