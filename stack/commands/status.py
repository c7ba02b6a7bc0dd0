"""`stackctl status`: what exists and how it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from stack.errors import ExitCode, StackError
from stack.instance import Instance
from stack.observed import ComponentState, Observed
from stack.pins import unpinned
from stack.record import Place
from stack.report import Report, duration
from stack.results.instances import Elsewhere, MemoryUse, StatusResult
from stack.results.nothing import Nothing
from stack.settings import Settings
from stack.style import GREEN, RED, YELLOW, Column, Style, table, width_of
from stack.verdict.health import observe
from stack.workflow.externals import external_statuses
from stack.workflow.local import runs_locally
from stack.workflow.opened import Opened
from stack.workflow.opening import look
from stack.workflow.places import elsewhere_line
from stack.workflow.schedules import run_line, schedule_runs
from stack.workflow.standbys import standby_lines, standby_statuses
from stack.workflow.summary import (
    component_statuses,
    group_lines,
    located,
    overall,
    page_urls,
    problem,
    publics,
    server_lines,
    stopped_lines,
    url_lines,
)

_WATCH_INTERVAL = 1.0
# What is left of the ports, and of the name of an image or a command, in a narrow terminal.
_SHORTEST_PORTS, _SHORTEST_IMAGE = 11, 8
_COLUMNS = (
    Column("COMPONENT"), Column("STATE"), Column("HEALTH"), Column("SINCE", right=True),
    Column("RESTARTS", right=True), Column("PORTS", right=True, least=_SHORTEST_PORTS),
    Column("MEMORY", right=True, spare=1),
)  # fmt: skip
_MIB = 2**20
_COLOURS = {
    "running": GREEN,
    "local": GREEN,
    "healthy": GREEN,
    "done": GREEN,
    "up": GREEN,
    "starting": YELLOW,
    "restarting": YELLOW,
    "stopping": YELLOW,
    "created": YELLOW,
    "stopped": YELLOW,
    "unstable": RED,
    "partial": YELLOW,
    "degraded": RED,
    "unhealthy": RED,
    "exited": RED,
    "dead": RED,
    "absent": RED,
}


def status(settings: Settings, exit_code: bool = False) -> Report[StatusResult]:
    """Report each component and how it is. With `exit_code` the report's is that of a failure unless all is up."""
    opened = look(settings)
    observed = observe(opened.instance, opened.engine)
    opened = replace(opened, instance=located(opened.instance, observed))
    memory = opened.engine.memory(observed)
    components, externals = component_statuses(opened.instance, observed), external_statuses(opened)
    state = overall(opened.instance, observed)
    if state == "up" and any(each.problem for each in externals.values()):
        state = "degraded"
    now = datetime.now(UTC)
    data = StatusResult(
        instance=opened.instance.name,
        engine=opened.engine.name,
        engine_reason=opened.choice.reason or None,
        host=opened.instance.host,
        tunnel=_tunnel(opened),
        state=state,
        urls=opened.instance.urls if observed.running else {},
        components=components,
        memory={name: _memory_use(observed.components.get(name), memory.get(name)) for name in components},
        runs=schedule_runs(opened, observed, now),
        groups=opened.groups,
        externals=externals,
        elsewhere=_elsewhere(opened.record.elsewhere),
        local=tuple(name for name in opened.instance.stack.names if runs_locally(opened, name)),
        standbys=standby_statuses(opened, observed),
    )
    failed = exit_code and data.state != "up"
    code = ExitCode.FAILED if failed else ExitCode.DONE
    return Report.drawn("status", lambda style: _text(opened, observed, data, memory, now, style), data, code)


def _elsewhere(place: Place | None) -> Elsewhere | None:
    if place is None:
        return None
    return Elsewhere(str(place), datetime.fromisoformat(place.left) if place.left else None)


def _tunnel(opened: Opened) -> Literal["open", "closed"] | None:
    """Say whether the published ports come here; an instance that publishes none needs no tunnel."""
    if (tunnel := opened.engine.tunnel) is None or not opened.instance.ports:
        return None
    return "open" if tunnel.ports else "closed"


def _tunnel_line(data: StatusResult) -> str:
    ports = ", ".join(map(str, sorted({port for each in data.components.values() for port in each.ports.values()})))
    if data.tunnel == "open":
        return f"tunnel: {ports} of this machine, through SSH to {data.host}"
    return "tunnel: closed, so nothing answers at these addresses; `stackctl up` opens it"


def watch(settings: Settings, style: Callable[[], Style], show: Callable[[str], None]) -> Report[Nothing]:
    """Show the status again and again, failures too, until interrupted. `style` is asked each time: windows change."""
    pause = threading.Event()
    try:
        while True:
            try:
                text = status(settings).shown(style())
            except StackError as error:
                text = f"{error.message} ({error.code}); trying again"
            show(text)
            pause.wait(_WATCH_INTERVAL)
    except KeyboardInterrupt:
        return Report("status", "", Nothing(), exit_code=ExitCode.INTERRUPTED)


def _memory_use(component: ComponentState | None, used: int | None) -> MemoryUse:
    return MemoryUse(used, component.memory_limit if component else None)


def _text(
    opened: Opened, observed: Observed, data: StatusResult, memory: Mapping[str, int], now: datetime, style: Style
) -> str:
    instance = opened.instance
    elsewhere = [elsewhere_line(place)] if (place := opened.record.elsewhere) is not None else []
    if not observed.exists:
        return "\n".join([f"{instance.name} is not up; `stackctl up` starts it", *map(style.wrapped, elsewhere)])
    names = data.components
    there = {name: state for name, state in observed.components.items() if name not in data.local}
    rows = [_row(instance, name, there.get(name), memory.get(name), now) for name in names]
    rows = [[row[0], "local", *row[2:]] if row[0] in data.local else row for row in rows]
    rows += [
        [name, "external", "unhealthy" if each.problem else "healthy", *["-"] * 4, each.address or "-"]
        for name, each in data.externals.items()
    ]
    lines = [
        table(_columns(opened, rows), rows, style, _colour),
        "",
        *(style.wrapped(run_line(name, each, now), "", "  ") for name, each in data.runs.items()),
        *_address_lines(instance, data, style),
        *(
            style.wrapped(
                f"{name} listens on every address of {instance.host or 'this machine'}, as declared", "", "  "
            )
            for name in publics(instance)
        ),
        style.wrapped(f"engine: {opened.where}", indent="  "),
        *([style.wrapped(_tunnel_line(data), indent="  ")] if data.tunnel and observed.running else []),
    ]
    problems = {name: problem(state) for name, state in observed.components.items() if name in instance.stack.names}
    problems |= {name: each.problem for name, each in data.externals.items()}
    lines[2:2] = [style.wrapped(line, "", "  ") for line in standby_lines(data.standbys)]
    lines[2:2] = [style.wrapped(text, f"{name}: ", "  ") for name, text in problems.items() if text]
    gone = [name for name in names if name not in instance.stack.whole.names]
    off = [name for name in names if name in instance.stack.off]
    for what, left in (("no longer declared", gone), ("its group is off", off)):
        if left:
            lines.insert(2, style.wrapped(f"{', '.join(left)}; `stackctl up` removes it", f"{what}: ", "  "))
    below = [*_local_lines(data), *stopped_lines(instance, observed, data.local), *group_lines(opened.groups)]
    below += elsewhere
    return "\n".join([*lines, *(style.wrapped(line, "  ", "    ") for line in below)])


def _local_lines(data: StatusResult) -> list[str]:
    return [
        f"{name} is a process of this machine, in the terminal of `stackctl up --local {name}`" for name in data.local
    ]


def _columns(opened: Opened, rows: Sequence[Sequence[str]]) -> list[Column]:
    """Return the columns: the image goes first if space is short, then restarts if there were none, and the memory."""
    last = "IMAGE" if opened.engine.traits.builds else "COMMAND"
    at = [column.head for column in _COLUMNS].index("RESTARTS")
    calm = all(row[at] in ("0", "-") for row in rows)
    columns = [replace(column, spare=2) if column.head == "RESTARTS" and calm else column for column in _COLUMNS]
    return [*columns, Column(last, least=_SHORTEST_IMAGE, keeps="end", spare=3)]


def _address_lines(instance: Instance, data: StatusResult, style: Style) -> list[str]:
    """Say, for people, how the whole is and where it answers: on one line, if the addresses of pages fit on it."""
    state, pages = data.state, page_urls(instance)
    said = f"{instance.name} is {style.paint(state, _COLOURS[state])}"
    if not data.urls:
        return [said]
    if style.width is not None and width_of("  ".join([f"{instance.name} is {state}", *pages])) > style.width:
        return [said, *url_lines(instance, style)]
    return ["  ".join([said, *map(style.url, pages)]), *server_lines(instance, style)]


def _colour(head: str, entry: str) -> str | None:
    if head == "RESTARTS":
        return None if entry in ("0", "-") else YELLOW
    return _COLOURS.get(entry.split(" ")[0]) if head in ("STATE", "HEALTH") else None


def _row(
    instance: Instance, name: str, component: ComponentState | None, memory: int | None, now: datetime
) -> list[str]:
    if component is None:
        return [name, "absent", *["-"] * (len(_COLUMNS) - 1)]
    running = component.running
    since = component.ended if component.state == "done" else component.since if running else None
    return [
        name,
        f"running{component.count}" if component.state == "running" else component.summary,
        "-" if component.health == "none" else component.health,
        duration((now - since).total_seconds()) if since else "-",
        str(component.restarts),
        (", ".join(map(str, component.ports.values())) if running else "") or "-",
        _memory(memory, component.memory_limit),
        "(built)" if component.image.startswith(f"{instance.project}-") else unpinned(component.image) or "-",
    ]


def _memory(used: int | None, limit: int | None) -> str:
    """`73/512 MiB`, and without a limit `73 MiB`."""
    if used is None:
        return "-"
    return f"{used / _MIB:.0f}" + (f"/{limit / _MIB:.0f}" if limit else "") + " MiB"
