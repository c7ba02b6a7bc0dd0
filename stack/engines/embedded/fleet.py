"""Find what the embedded engine has on this machine of all instances of this user, and remove it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from stack.component import Component
from stack.engines.embedded.accounts import is_servers_user
from stack.engines.embedded.checks import configuration_of, supervisors
from stack.engines.embedded.data_folders import is_volume
from stack.engines.embedded.driver import EmbeddedEngine
from stack.engines.embedded.layout import ROOT_HOMES, Home, component_of, home_at
from stack.engines.embedded.observe import last_exit_code
from stack.engines.embedded.render import ends, sections
from stack.engines.embedded.start_log import read_start_log
from stack.engines.embedded.strays import homeless
from stack.errors import StackError
from stack.frozen import dataclass
from stack.instance import Instance, default_project, name_of_project
from stack.model import Stack
from stack.observed import Found, Resources, StateWord, worst_of
from stack.ports import Holder, Listener
from stack.processes import end
from stack.registry import Entry
from stack.workload import Hardening, Limits, Target, Workload

# How long it may take to add up the files of all homes.
_SIZES_TIMEOUT = 5.0
_GRACE = 15.0
_BLOCK = 512


@dataclass(frozen=True)
class _Undeclared(Component):
    """Stands for components that are not known any more; it runs nothing."""

    def workload(self, target: Target) -> Workload:
        return Workload(limits=Limits(memory=0, cpus=0, pids=0), hardening=Hardening(user=None), stop_grace=0)


class EmbeddedFleet:
    """See `stack.engines.base.Fleet`."""

    name = "embedded"

    def holder(self, port: int, listener: Listener | None) -> Holder | None:
        for words in listener.lineage if listener else ():
            if (configuration := configuration_of(words)) is not None:
                folder = configuration.parent.parent
                name = _instance_of(folder)
                owner = f"{listener}, of the instance {name!r} ({folder})"
                return Holder(owner, f"`stackctl --instance {name} stop`", _state_of(folder))
        return None

    def find(self, entries: Sequence[Entry]) -> list[Found]:
        by_home = {home_at(each.project, each.state).folder: each for each in entries if _is_ours(each)}
        running = dict(supervisors(is_servers_user))
        # One that is not whole yet has a name that begins with a dot.
        roots = [] if os.getuid() else [home for home in ROOT_HOMES.glob("[!.]*") if home.is_dir()]
        left = homeless(is_servers_user)
        left |= {home: {number: "supervisord"} for home, number in running.items() if not home.is_dir()}
        homes = dict.fromkeys([*by_home, *roots, *running, *left])
        return [_found(home, by_home.get(home), left.get(home, {})) for home in homes if home.is_dir() or home in left]

    def sizes(self, found: Sequence[Found]) -> Mapping[str, int]:
        deadline = time.monotonic() + _SIZES_TIMEOUT
        sizes = {}
        for each in found:
            if each.folder is not None:
                size = sum(_files(each.folder, deadline))
                if time.monotonic() < deadline:
                    sizes[each.project] = size
        return sizes

    def remove(self, found: Found, data: bool) -> None:
        # What was declared is gone with the stack file.
        nothing = Stack("gone", [_Undeclared("gone")])
        instance = Instance(found.instance, found.project, nothing, found.states[0].parent, found.states[0], ports={})
        engine = EmbeddedEngine(instance)
        if data or not found.resources.volumes:
            engine.destroy()
        else:
            engine.down()
        # A supervisor without a socket, which was deleted with its folder.
        supervising = [number for home, number in supervisors(is_servers_user) if home == found.folder]
        left = homeless(is_servers_user).get(found.folder, {}) if found.folder else {}
        for number in [*supervising, *left]:
            if not end(number, _GRACE):
                raise StackError(
                    "process-stuck", f"process {number} does not end, not even killed", "see what holds it with `ps`"
                )

    def untagged(self) -> Mapping[str, str]:
        return {}

    def remove_images(self, images: Sequence[str]) -> None:
        """Do nothing: this engine has no images."""


def _is_ours(entry: Entry) -> bool:
    return entry.engine == "embedded"


def _instance_of(home: Path) -> str:
    return name_of_project(home.name) if home.parent == ROOT_HOMES else home.parent.name


def _found(home: Path, entry: Entry | None, outside: Mapping[int, str]) -> Found:
    """Describe what exists of a home; `outside` runs although the home is gone."""
    at = Home(home, home / "run", home / "secrets")
    parts = sections(_text(at.configuration))
    processes = {name: read_start_log(at.run(name)).pid for name in parts}
    if not home.is_dir():
        processes = {name: number for number, name in outside.items()}
    running = [f"{name} (process {number})" for name, number in processes.items() if number is not None]
    states = dict.fromkeys([*_states(at), *([entry.state] if entry else [])])
    return Found(
        engine="embedded",
        project=entry.project if entry else _project_of(home),
        instance=entry.instance if entry else _instance_of(home),
        states=tuple(states),
        components=_words(at, parts, processes),
        ports=entry.ports if entry else {},
        resources=Resources(containers=tuple(running), volumes=tuple(map(str, _data(at)))),
        since=_made(home),
        folder=home,
    )


def _words(home: Home, parts: Mapping[str, str], processes: Mapping[str, int | None]) -> dict[str, StateWord]:
    """Return the word for each component, by the part of the configuration and the pid of each of its programs."""
    words: dict[str, list[StateWord]] = {}
    for program, number in processes.items():
        words.setdefault(component_of(program), []).append(_word(home, program, parts.get(program, ""), number))
    return {name: worst_of(each) for name, each in words.items()}


def _word(home: Home, name: str, part: str, number: int | None) -> StateWord:
    """Return the word for a program, which has this number if it runs."""
    if number is not None:
        return "running"
    return "done" if ends(part) and not last_exit_code(home, name) else "exited"


def _state_of(folder: Path) -> Path | None:
    """Return the state of the instance of a home, as far as the home tells it."""
    return next(iter(_states(Home(folder, folder / "run", folder / "secrets"))), None)


def _states(home: Home) -> list[Path]:
    """Find the state of a home: a plain user's home lies in it; one of root names it, if it is not damaged."""
    if home.folder.parent != ROOT_HOMES:
        return [home.folder.parent]
    named = Path(_text(home.state).strip())
    return [named] if named.is_absolute() else []


def _project_of(home: Path) -> str:
    return home.name if home.parent == ROOT_HOMES else default_project(home.parent.name, home.parent)


def _data(home: Home) -> list[Path]:
    """Return the folders with data. They may be deleted meanwhile."""
    with suppress(OSError):
        return sorted(filter(is_volume, (home.folder / "data").iterdir()))
    return []


def _text(path: Path) -> str:
    """Read a file that may be gone, or be another user's."""
    with suppress(OSError):
        return path.read_text(encoding="utf-8")
    return ""


def _made(home: Path) -> datetime | None:
    with suppress(OSError):
        return datetime.fromtimestamp(home.stat().st_mtime, UTC)
    return None


def _files(folder: Path, deadline: float) -> Iterator[int]:
    """Yield the bytes on the disk of each file below until the deadline. What is deleted meanwhile is left out."""
    for parent, _, names in os.walk(folder):
        if time.monotonic() > deadline:
            return
        for name in names:
            with suppress(OSError):
                yield os.lstat(os.path.join(parent, name)).st_blocks * _BLOCK
