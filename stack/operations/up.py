"""`stackctl up`: make the instance as declared, and say whether it works."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path

from stack.engines.base import Engine
from stack.errors import DeclarationError, StackError
from stack.instance import Instance
from stack.observed import Observed
from stack.operations.opening import Opened, open_instance, without_docker
from stack.operations.status import component_data
from stack.progress import Progress
from stack.report import Report
from stack.settings import Settings
from stack.verdict import Verdict, await_ready

_PORTS_TRIED = 100
_STEP_LENGTH = 80


def up(
    settings: Settings,
    progress: Progress,
    ports: Mapping[str | None, int] | None = None,
    timeout: float = 120,
    system_binaries: bool = False,
) -> Report:
    """Build, start and judge. `timeout` in seconds is for the time from the start of the components.

    A new instance for which no engine was asked goes to the embedded one where Docker has no images.
    """
    opened = open_instance(settings, ports, system_binaries)
    if opened.choice.free and opened.engine.name == "embedded":
        progress.step(f"on the embedded engine ({opened.choice.reason})")
    opened.engine.check()
    if opened.engine.builds:
        _check_sources(opened.instance)
    with opened.state.locked():
        try:
            return _make(opened, progress, timeout)
        except StackError as error:
            other = without_docker(opened, error.message) if error.code == "image-unavailable" else None
            if other is None:
                raise
        progress.step(f"on the embedded engine ({other.choice.reason})")
        other.engine.check()
        # What Docker made of it until here; it holds no data, for there was no instance before.
        opened.engine.destroy()
        return _make(other, progress, timeout)


def _make(opened: Opened, progress: Progress, timeout: float) -> Report:
    before = opened.engine.observe()
    _check_ports(opened.instance, before)
    _prepare(opened)
    _build(opened.instance, opened.engine, progress)
    with opened.engine.apply() as job:
        verdict = await_ready(opened.instance, opened.engine, job, before, timeout, progress)
    return _report(opened, before, verdict)


def _check_sources(instance: Instance) -> None:
    for name in instance.stack.names:
        source = instance.source(name)
        if source is not None and not (source / "Dockerfile").is_file():
            problem = "has no Dockerfile" if source.is_dir() else "is not a folder"
            hint = "write a Dockerfile there, or name the folder that has one"
            raise DeclarationError(f"{instance.stack.name}/{name}/source", f"{source} {problem}", hint)


def _check_ports(instance: Instance, before: Observed) -> None:
    """Ask before anything is changed, with an answer that helps; a race is still caught by the engine."""
    for name, port in instance.ports.items():
        own = before.components.get(name)
        if own is not None and own.running and own.port == port:
            continue
        if not _is_free(port):
            free = next((near for near in range(port + 1, min(port + _PORTS_TRIED, 65536)) if _is_free(near)), None)
            choice = f"--port {free}" if len(instance.ports) == 1 else f"--port {name}={free}"
            raise StackError(
                "port-taken",
                f"port {port} of 127.0.0.1, which {name} publishes, is taken by another program",
                f"choose another, like `stackctl up {choice}`, or end the program (`ss -ltnp` names it)",
            )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:  # below 1024: the engine may still bind it
            return True
        except OSError:
            return False
    return True


def _prepare(opened: Opened) -> None:
    """Make what the engine will read: the record, and the secrets that are not there yet."""
    missing = [secret for secret in opened.instance.stack.secrets() if not opened.state.has_secret(secret.id)]
    for secret in missing:
        if opened.engine.has_data(secret.component):
            raise _secret_lost(secret.component, opened.instance.secret_file(secret.id))
    opened.state.remember(opened.record)
    for secret in missing:
        opened.state.make_secret(secret.id)


def _secret_lost(component: str, file: Path) -> StackError:
    return StackError(
        "secret-lost",
        f"there is data of {component} from an earlier `up`, but its password is gone: {file}",
        "put the file back; or, to begin anew without that data, `stackctl reset`",
    )


def _build(instance: Instance, engine: Engine, progress: Progress) -> None:
    built = [name for name in instance.stack.names if instance.source(name)]
    if not built:
        return
    with engine.build() as job:
        while (exit_code := job.wait(0.5)) is None:
            progress.states(dict.fromkeys(built, f"building {_step(job.output)}".rstrip()))
    if exit_code:
        raise engine.explain_build(job)


def _step(output: str) -> str:
    """The last step that a build began: `#9 [build 4/6] RUN make` gives `[build 4/6] RUN make`."""
    steps = re.findall(r"^#\d+ (\[[^\]\n]*\d+/\d+\].*)$", output, re.MULTILINE)
    return str(steps[-1])[:_STEP_LENGTH] if steps else ""


def _report(opened: Opened, before: Observed, verdict: Verdict) -> Report:
    instance = opened.instance
    same = _processes(before) == _processes(verdict.observed)
    done = "was up already, nothing changed" if same else f"is up ({verdict.seconds:.1f} s)"
    lines = [f"{instance.name} {done}", *(f"  {name}: {url}" for name, url in instance.urls.items())]
    lines.append(f"  engine: {opened.engine.name} ({opened.choice.reason})")
    data = {
        "instance": instance.name,
        "engine": opened.engine.name,
        "engine_reason": opened.choice.reason,
        "changed": not same,
        "urls": dict(instance.urls),
        "components": component_data(instance, verdict.observed),
    }
    return Report("up", "\n".join(lines), data)


def _processes(observed: Observed) -> dict[str, object]:
    return {name: (component.since, component.state) for name, component in observed.components.items()}
