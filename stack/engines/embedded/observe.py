"""Tell the state of each component from supervisord's programs, the start logs and health checks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from stack.engines.embedded import logs
from stack.engines.embedded.control import Program
from stack.engines.embedded.host import LocalHost
from stack.engines.embedded.layout import Home, component_of, number_of
from stack.engines.embedded.render import CONFIGURATION, EDITED, GENERATED, declared_process
from stack.engines.embedded.start_log import StartLog, read_start_log
from stack.engines.embedded.supervisor import SUPERVISORD
from stack.fields import digest
from stack.frozen import dataclass
from stack.instance import Instance
from stack.observed import ComponentState, EngineState, Health, together
from stack.workload import PortId, Workload

# A server that does not answer counts as starting for so many seconds after its start.
_START_PERIOD = 60.0
_EXITS_SEARCHED = 1000
# Supervisord's words in those that every engine uses. `EXITED` lasts until the program is started again, at once, if it
# is to be.
_STATES: Mapping[str, EngineState] = {
    "STARTING": "running",
    "RUNNING": "running",
    "BACKOFF": "restarting",
    "EXITED": "restarting",
    "STOPPING": "stopping",
    "STOPPED": "exited",
    "FATAL": "exited",
}


@dataclass(frozen=True)
class Observer:
    """Observes the components of one instance.

    `ports`: those of the last `up`. `host`: finds the host that health checks ask, which takes a while the first time.
    """

    instance: Instance
    home: Home
    ports: Mapping[PortId, int]
    host: Callable[[], LocalHost]

    def observe(self, existing: Iterable[str], programs: Mapping[str, Program]) -> dict[str, ComponentState]:
        """Return the state of each program that exists, in the order of the declaration.

        `programs` has those of supervisord, and none if it does not run.
        """
        start_logs = {name: read_start_log(self.home.run(name)) for name in existing}
        order = {name: position for position, name in enumerate(self.instance.stack.names)}
        names = sorted(start_logs, key=lambda name: order.get(component_of(name), len(order)))
        return {name: self._program(name, programs.get(name), start_logs[name]) for name in names}

    def _program(self, program_name: str, program: Program | None, start_log: StartLog) -> ComponentState:
        name = component_of(program_name)
        declared = declared_process(self.instance, name)
        once = declared is not None and declared.once is not None
        state = _state(program, start_log, once)
        if state == "restarting" and declared is not None and self._rests(program_name, declared, program):
            state = "exited"
        health, problem = self._health(name, start_log) if state == "running" else ("none", "")
        since = start_log.since or (program.since if program is not None else None)
        # Supervisord knows it in whole seconds.
        ended = max(program.ended, since or 0) if program is not None and once and state == "exited" else None
        return ComponentState(
            id=start_log.id,
            state=state,
            health=health,
            restarts=max(0, start_log.starts - 1),
            exit_code=0 if state == "running" else _exit_code(self.home, program_name, program if once else None),
            oom_killed=False,
            since=datetime.fromtimestamp(since, UTC) if since else None,
            image=str(declared.command[0]) if declared and declared.command else "",
            ports={id_: port for id_, port in self.ports.items() if id_.component == name},
            health_output=problem,
            process=start_log.pid,
            number=number_of(program_name),
            once=once,
            ended=datetime.fromtimestamp(ended, UTC) if ended else None,
        )

    def _health(self, name: str, start_log: StartLog) -> tuple[Health, str]:
        """Run the component's health check, and return its problem too."""
        check = self.instance.stack[name].check if name in self.instance.stack.names else None
        declared = declared_process(self.instance, name)
        unknown = declared is None or not {port.id for port in declared.ports} <= self.ports.keys()
        if check is None or unknown:
            return "none", ""
        problem = check.problem(self.host())
        if problem is None:
            return "healthy", ""
        now = time.time()
        return ("starting" if now - (start_log.since or now) < _START_PERIOD else "unhealthy"), problem

    def _rests(self, name: str, declared: Workload, program: Program | None) -> bool:
        """Say whether what ended is not started again."""
        if program is None or program.state != "EXITED":
            return False
        if declared.restart == "on-failure":
            return last_exit_code(self.home, name) == 0
        return declared.restart == "no"


def _exit_code(home: Home, name: str, once: Program | None) -> int:
    """Return how a component ended; of a program that runs `once` the log may only tell of an earlier end."""
    if once is None or (once.state == "EXITED" and once.exit_code < 0):
        return last_exit_code(home, name)
    return 1 if once.state == "FATAL" else once.exit_code


def last_exit_code(home: Home, name: str) -> int:
    """Find the exit code of a component that ended by itself."""
    log = logs.last_lines(home.log(SUPERVISORD), _EXITS_SEARCHED)
    return logs.last_exit(log, name) or 0


def by_component(states: Mapping[str, ComponentState], instance: Instance) -> dict[str, ComponentState]:
    """Sum up the programs of each component."""
    replicas: dict[str, list[ComponentState]] = {}
    for program, state in states.items():
        replicas.setdefault(component_of(program), []).append(state)
    return {name: together(each, instance.stack.replicas(name)) for name, each in replicas.items()}


def marked(state: ComponentState, applied: Mapping[str, str] | None, section: str | None) -> ComponentState:
    """Add what a component was made from, and whether its part of the configuration is still as it was written."""
    if applied is None:
        return state
    # An earlier stackctl noted the digest of the text with the empty lines around it.
    same = section is not None and applied["section"] in (digest(section.strip()), digest(section))
    return replace(state, declaration=applied["declaration"], live={CONFIGURATION: GENERATED if same else EDITED})


def uses(sections: Iterable[str], folder: str) -> bool:
    """Say whether any part of a configuration names a folder, and not only another that begins alike."""
    return any(re.search(rf"{re.escape(folder)}(?![\w.-])", section) for section in sections)


def _state(program: Program | None, start_log: StartLog, once: bool) -> EngineState:
    """Return the word for a state. Without supervisord a component may still run, or have ended with a reboot.

    What runs `once` is not started again after its end, nor with the others; how it ended goes with supervisord.
    """
    never = program is None or (program.state == "STOPPED" and not start_log.starts)
    if once and never and start_log.pid is None:
        return "created"
    if program is None:
        return "exited" if start_log.pid is None else "running"
    state = _STATES.get(program.state, "dead")
    if state == "running" and start_log.starts and start_log.pid is None and not once:
        # It has just ended, which supervisord is about to notice, or it is started again and not yet itself.
        return "restarting"
    return state
