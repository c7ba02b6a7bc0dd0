"""`stackctl doctor`: what is wrong with this machine or with the instance, each with a fix.

To add a check: a function below, and its line in `CHECKS`. What an engine needs is examined by the engine.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from stack.capabilities import Session
from stack.causes import recognise
from stack.component import Component
from stack.declaration import load_stack
from stack.engines import ENGINES
from stack.engines.base import Engine
from stack.errors import StackError
from stack.findings import Finding, Level, disk, failed, ok
from stack.frozen import dataclass
from stack.instance import Instance, default_project, takes_datagrams
from stack.observed import ComponentState, Observed
from stack.ports import Holder
from stack.report import Report, times
from stack.results.machine import DoctorResult
from stack.settings import PLAYGROUND, Settings
from stack.style import GREEN, PLAIN, RED, YELLOW, Style
from stack.verdict.health import observe
from stack.verdict.judge import brief
from stack.version import __version__
from stack.workflow.access import unsaved
from stack.workflow.blockers import find_blocker
from stack.workflow.externals import external_statuses
from stack.workflow.identities import identities, secret_digests
from stack.workflow.opened import Opened
from stack.workflow.opening import look
from stack.workflow.planning import relaxations
from stack.workflow.ports import holder_of, port_is_free, tunnelled_ports
from stack.workload import PortId

_OLDEST_PYTHON = (3, 11)
_COLOURS: Mapping[Level, str] = {"ok": GREEN, "warn": YELLOW, "fail": RED}


@dataclass(frozen=True)
class Subject:
    """What is examined. Without `opened` or `observed` they could not be had, and `problem` says why."""

    settings: Settings
    opened: Opened | None
    observed: Observed | None
    problem: StackError | None = None


Check = Callable[[Subject], Iterable[Finding]]


def doctor(settings: Settings) -> Report[DoctorResult]:
    """Run every check. What is broken is a line and never an error; the exit code is 1 when something failed."""
    findings = examine(settings)
    failures = sum(finding.level == "fail" for finding in findings)
    warnings = sum(finding.level == "warn" for finding in findings)
    data = DoctorResult(failures, warnings, tuple(findings))
    return Report.drawn("doctor", lambda style: text_of(findings, style), data, exit_code=1 if failures else 0)


def examine(settings: Settings) -> list[Finding]:
    subject = _subject(settings)
    return [finding for name, check in CHECKS.items() for finding in _guarded(name, check, subject)]


def text_of(findings: Iterable[Finding], style: Style = PLAIN) -> str:
    """A line a finding, its fix below it, and what it comes to."""
    found = list(findings)
    width = max((len(finding.check) for finding in found), default=0)
    lines = []
    for finding in found:
        front = f"{finding.level:<4}  {finding.check:<{width}}  "
        line = style.wrapped(style.paths(" ".join(finding.message.split())), front)
        lines.append(line.replace(finding.level, style.paint(finding.level, _COLOURS[finding.level]), 1))
        if finding.fix:
            lines.append(style.wrapped(style.paths(finding.fix), f"{' ' * len(front)}→ "))
    counts = {level: sum(finding.level == level for finding in found) for level in _COLOURS}
    lines += ["", f"{counts['fail']} failed, {counts['warn']} to look at, {counts['ok']} ok"]
    return "\n".join(lines)


def _subject(settings: Settings) -> Subject:
    try:
        opened = look(settings)
    except StackError as error:
        return Subject(settings, None, None, error)
    try:
        _check_answers(opened.engine)
        return Subject(settings, opened, observe(opened.instance, opened.engine))
    except StackError as error:
        return Subject(settings, opened, None, error)
    except Exception as error:
        what = f"its engine told what is not understood: {type(error).__name__}: {error}"
        return Subject(settings, opened, None, StackError("bug", what, "see what is told of the engine above"))


def _check_answers(engine: Engine) -> None:
    """Raises within seconds what other questions would wait long for. What only stands in the way of `up` passes."""
    try:
        engine.check()
    except StackError as error:
        if error.code in engine.traits.unreachable:
            raise


def _guarded(name: str, check: Check, subject: Subject) -> Iterator[Finding]:
    """A check that can't be carried out is a finding too, whatever stands in its way: others follow."""
    try:
        yield from check(subject)
    except StackError as error:
        yield failed(name, error)
    except Exception as error:
        what = f"it could not be examined: {type(error).__name__}: {error}"
        yield Finding(name, "fail", what, "report it, with what `stackctl doctor --bundle FILE` writes")


def _versions(subject: Subject) -> Iterator[Finding]:
    yield of_python(sys.version_info[:3], sys.executable)


def of_python(version: tuple[int, ...], executable: str) -> Finding:
    found = f"{'.'.join(map(str, version))} ({executable}), stackctl {__version__}"
    if version < _OLDEST_PYTHON:
        oldest = ".".join(map(str, _OLDEST_PYTHON))
        return Finding("python", "fail", found, f"stackctl needs {oldest} or newer: recreate its environment with one")
    return ok("python", found)


def _engines(subject: Subject) -> Iterator[Finding]:
    """The engine of the instance has to be well; of the other one it is good to know."""
    for name, engine in _every_engine(subject).items():
        own = subject.opened is not None and subject.opened.engine.name == name
        for finding in _guarded(name, lambda _, engine=engine, own=own: engine.examine(own), subject):  # type: ignore[misc]
            yield finding if own else _unneeded(finding, subject.opened is not None)


def _every_engine(subject: Subject) -> dict[str, Engine]:
    if subject.opened is not None:
        opened = subject.opened
        others = {name: make(opened.instance) for name, make in ENGINES.items() if name != opened.engine.name}
        return {opened.engine.name: opened.engine} | others
    instance = _any_instance(subject.settings)
    return {name: make(instance) for name, make in ENGINES.items()}


def _any_instance(settings: Settings) -> Instance:
    """One that is nowhere, where that of the settings can't be had: the machine can be examined all the same."""
    state = settings.state_root / "doctor"
    return Instance("doctor", default_project("doctor", state), load_stack(PLAYGROUND), PLAYGROUND.parent, state, {})


def _unneeded(finding: Finding, known: bool) -> Finding:
    """What is wrong with another engine is nothing to fix for an instance that is `known` to have its own."""
    if finding.level == "fail" and known:
        return ok(finding.check, f"{finding.message} (this instance does not need it)")
    return replace(finding, level="warn") if finding.level == "fail" else finding


def _state(subject: Subject) -> Iterator[Finding]:
    root = subject.settings.state_root
    there = next(folder for folder in (root, *root.parents) if folder.is_dir())
    yield disk("state disk", shutil.disk_usage(there).free, str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        fix = "give it to yourself, or set STACKCTL_STATE to another folder"
        yield Finding("state folder", "fail", f"{there} can't be written", fix)
        return
    if subject.opened is None:
        return
    instance = subject.opened.instance
    if not instance.state.is_dir():
        yield ok("state folder", f"{instance.state} is not there yet: `stackctl up` makes it")
        return
    open_ones = [folder for folder in (instance.state, instance.state / "secrets") if folder.is_dir() and _open(folder)]
    for folder in open_ones:
        yield Finding("state folder", "fail", f"{folder} is open to others", f"`chmod 700 {folder}`")
    if not open_ones:
        yield ok("state folder", f"{instance.state} is its owner's alone")
    yield from _secrets(subject.opened, engine_answers=subject.problem is None)


def _open(folder: Path) -> bool:
    return bool(stat.S_IMODE(folder.stat().st_mode) & 0o077)


def _secrets(opened: Opened, engine_answers: bool) -> Iterator[Finding]:
    secrets = opened.instance.stack.secrets("container")
    missing = [secret for secret in secrets if not opened.state.has_secret(secret.id)]
    for secret in missing:
        file = opened.instance.secret_file(secret.id)
        if engine_answers and opened.engine.volumes.has_data(secret.component):
            fix = f"put the file back; or give the data a new password with `stackctl rotate {secret.component}`"
            yield Finding("secrets", "fail", f"there is data of {secret.component}, but {file} is gone", fix)
        else:
            yield Finding("secrets", "warn", f"{file} is not there", "`stackctl up` makes it")
    if not missing:
        yield ok("secrets", f"{len(secrets)} there")


def _ports(subject: Subject) -> Iterator[Finding]:
    if subject.opened is None:
        return
    instance = subject.opened.instance
    components = subject.observed.components if subject.observed else {}
    tunnelled = tunnelled_ports(subject.opened)
    for name, port in instance.ports.items():
        own = components.get(name.component)
        mine = instance.host is None and own is not None and own.running and port in own.ports.values()
        if mine or port in tunnelled:
            yield ok("ports", f"{port} is published by {name}")
        elif port_is_free(instance, name, port):
            yield ok("ports", f"{port}, for {name}, is free")
        elif instance.name != instance.stack.name and name not in subject.opened.record.ports:
            yield ok("ports", f"{port}, for {name}, is taken: `stackctl up` chooses the next free one")
        else:
            # Where the instance can't be seen, it may well be its own.
            holder = holder_of(port, subject.settings.registry, takes_datagrams(instance.stack, name))
            yield of_taken_port(name, port, holder, certain=subject.observed is not None)


def of_taken_port(name: PortId, port: int, holder: Holder, certain: bool) -> Finding:
    fix = f"choose another with `stackctl up --port {name.typed}=PORT`, or end what has it: {holder.fix}"
    message = f"{port}, which {name} publishes, is taken by {holder.who}"
    return Finding("ports", "fail" if certain else "warn", message, fix)


def _instance(subject: Subject) -> Iterator[Finding]:
    if subject.problem is not None:
        problem = subject.problem
        yield Finding("instance", "fail", f"it can't be examined: {problem.message}", problem.hint)
    if subject.opened is None or subject.observed is None:
        return
    name = subject.opened.instance.name
    if not subject.observed.running:
        what = "is stopped" if subject.observed.exists else "is not up"
        yield ok("instance", f"{name} {what}")
        return
    yield ok("instance", f"{name} on {subject.opened.where}")
    stopped = subject.opened.instance.stopped
    for component in subject.opened.instance.stack.names:
        yield of_component(component, subject.observed.components.get(component), component in stopped)


def of_component(name: str, component: ComponentState | None, stopped: bool = False) -> Finding:
    if stopped and (component is None or component.state == "stopped"):
        return ok(name, "does not run, on purpose")
    if component is None:
        return Finding(name, "fail", "is not there", "`stackctl up` makes it")
    if component.state == "done":
        return ok(name, component.summary)
    if not component.running:
        return Finding(name, "fail", f"is {component.summary}", f"look at `stackctl logs {name}`, then `stackctl up`")
    if component.health == "unhealthy":
        said = component.health_output or "nothing"
        return Finding(name, "fail", f"is unhealthy; it says: {said}", f"look at `stackctl logs {name}`")
    if component.health == "starting":
        return Finding(name, "warn", "is starting", "`stackctl wait` waits until it is ready")
    if component.restarts:
        level: Level = "fail" if component.health == "unstable" else "warn"
        again = f"was started again {times(component.restarts)}"
        return Finding(name, level, again, f"look at `stackctl logs {name}` for why")
    return ok(name, component.summary)


def _logins(subject: Subject) -> Iterator[Finding]:
    """Whether each database that has data accepts the password in its file, as far as that can be known now."""
    opened = subject.opened
    if opened is None or subject.observed is None:
        return
    databases = {each.name: each for each in opened.instance.stack if each.login is not None}
    made = identities(opened, secret_digests(opened))
    for name, database in databases.items():
        # A password that is gone is told with the secrets.
        if not made[name]["password"] or not opened.engine.volumes.has_data(name):
            continue
        if (blocker := find_blocker(opened, opened.state.applied(), {name: made[name]})) is not None:
            yield failed(f"{name} login", blocker)
            continue
        state = subject.observed.components.get(name)
        if state is not None and state.running:
            yield of_login(database, opened.engine.session(name, state))


def _externals(subject: Subject) -> Iterator[Finding]:
    """Whether each server that stackctl does not run accepts its URL."""
    for name, each in external_statuses(subject.opened).items() if subject.opened else ():
        if each.problem is None:
            yield ok(name, f"{each.kind} at {each.address} accepts its URL")
        else:
            problem = f"{f'{each.kind} at {each.address}: ' if each.kind else ''}{each.problem}"
            yield failed(name, StackError("external-unusable", problem, "see whether it runs, or correct its URL"))


def of_login(database: Component, session: Session) -> Finding:
    check, login = f"{database.name} login", database.login
    if login is None:
        return ok(check, "it asks for no password")
    answer = login.verify(session)
    if answer.ok:
        return ok(check, login.account)
    if (cause := recognise(database.name, answer.stderr, database.role)) is not None:
        return Finding(check, "fail", cause.message, cause.hint)
    said = brief(answer.stderr) or f"exit code {answer.exit_code}"
    return Finding(check, "fail", f"it can't be logged in to: {said}", f"look at `stackctl logs {database.name}`")


def _literals(subject: Subject) -> Iterator[Finding]:
    for each in subject.opened.literal if subject.opened else ():
        yield Finding("stack file", "warn", each.problem, each.fix)


def _volumes(subject: Subject) -> Iterator[Finding]:
    """Name each volume that is declared to be in no snapshot."""
    for name in unsaved(subject.opened.instance.stack.whole) if subject.opened else ():
        yield ok("volumes", f"{name} is not saved, as declared: backup=False")


def _hardening(subject: Subject) -> Iterator[Finding]:
    """Name each declared exception from the hardening of containers."""
    for name, relaxed in (relaxations(subject.opened) if subject.opened is not None else {}).items():
        if relaxed:
            yield ok("hardening", f"{name} {', '.join(relaxed)}, as declared")
    if subject.opened is not None and not subject.opened.instance.stack.isolated:
        yield ok("hardening", "the components reach each other on Docker, as declared: isolated=False")


CHECKS: Mapping[str, Check] = {
    "python": _versions,
    "engines": _engines,
    "state": _state,
    "ports": _ports,
    "instance": _instance,
    "login": _logins,
    "external": _externals,
    "stack file": _literals,
    "volumes": _volumes,
    "hardening": _hardening,
}
