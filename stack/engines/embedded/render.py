"""Turn an instance into a configuration of supervisord: pure, the same text for the same instance and layout."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence

from stack.engines.embedded.layout import EVERY_ADDRESS, HOST, Layout, component_of, programs_of
from stack.errors import DeclarationError
from stack.fields import digest, flatten
from stack.instance import Instance
from stack.references import ParameterReference, Reference, SecretReference, SecretValue, Value, hide, resolved
from stack.workload import File, PortId, Restart, VolumeId, Workload

# A field whose value changes if the file is edited by hand.
CONFIGURATION = "configuration"
GENERATED = "generated"
EDITED = "edited by hand"

# The paths are relative to the home, where supervisord runs: its configuration knows no way to quote a path.
_SUPERVISORD = """\
; Made by stackctl from the stack {stack!r}; `stackctl up` rewrites it.
[unix_http_server]
file = {socket}
chmod = 0700

[supervisord]
identifier = {identifier}
nodaemon = true
silent = true
nocleanup = true
pidfile = runs/supervisord.pid
logfile = logs/supervisord.log
logfile_maxbytes = 10MB
logfile_backups = 3

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{socket}
"""

# A start that fails is tried again after 1 s, 2 s, 3 s, …; one that held is made good at once.
_PROGRAM = """
[program:{name}]
command = {command}
priority = {priority}
{begins}autorestart = {restart}
startsecs = {held_after}
startretries = 100
stopsignal = {stop_signal}
stopwaitsecs = {stop_grace}
killasgroup = true
redirect_stderr = true
stdout_logfile = logs/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""


_RESTARTS: Mapping[Restart, str] = {"always": "true", "on-failure": "unexpected", "no": "false"}
# Of a program that ends: neither supervisord nor a change of another program starts it.
_BY_HAND = "autostart = false\n"


def render(
    instance: Instance, layout: Layout, only: Collection[str] = (), others: Mapping[str, str] | None = None
) -> str:
    """Return the text of `supervisord.conf`. Raises `DeclarationError` for what can't run as a process.

    With `only` it has these programs, and those of `others`, parts of an earlier configuration, as they are there.
    """
    head = _SUPERVISORD.format(
        stack=instance.stack.name, identifier=instance.project, socket=_literal(str(layout.home.control))
    )
    kept = {name: part for name, part in (others or {}).items() if component_of(name) not in only}
    names = [name for name in instance.stack.names if not only or name in only]
    programs = [(name, each) for name in names for each in programs_of(name, process_of(instance, name).replicas)]
    made = [_program(instance, layout, name, program) for name, program in programs]
    return head + "".join([*made, *(f"\n[program:{name}]\n{part.strip()}\n" for name, part in kept.items())])


def fields(instance: Instance, layout: Layout) -> dict[str, dict[str, str]]:
    """Return each component's declaration, field by field. What the engine chooses stays a name: `<db.port>`."""
    return {name: _fields(instance, layout, name) for name in instance.stack.names}


def sections(text: str) -> dict[str, str]:
    """Split a configuration into the parts of its programs, by name."""
    parts = re.split(r"^\[program:(.+)\]$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def ends(section: str) -> bool:
    """Say whether a part of a configuration is of a program that runs to its end."""
    return _BY_HAND in section


def _fields(instance: Instance, layout: Layout, name: str) -> dict[str, str]:
    process = process_of(instance, name)
    program, *words = (_shown(layout, word) for word in process.command or ())
    return flatten(
        {
            "command": [layout.program(name, program), *words],
            "settings": process.settings,
            "environment": {variable: _shown(layout, value) for variable, value in process.environment.items()},
            "source": str(instance.source(name)) if process.source else "",
            **_port_fields(instance, process),
            "uses": instance.stack[name].needs,
            "stop_signal": process.stop_signal,
            "stop_grace": process.stop_grace,
            **({"public": "true"} if process.public else {}),
            **({"restart": process.restart} if process.restart != "always" else {}),
            **({"once": "true"} if process.once else {}),
            **{
                f"data{_volume_suffix(name, volume.id)}": layout.home.volume(volume.id).name
                for volume in process.volumes
            },
            **{
                f"content.{file.source or file.name}": instance.content_digest(file)
                for file in process.files
                if file.tracked
            },
            **({"virtual_env": str(layout.virtual_envs[name])} if name in layout.virtual_envs else {}),
            CONFIGURATION: GENERATED,
        }
    )


def process_of(instance: Instance, name: str) -> Workload:
    """Return a component's workload. Raises `DeclarationError` for what can't run as a process."""
    return instance.stack.workload(name, "process")


def copied_files(instance: Instance) -> tuple[File, ...]:
    """Return the declared files of all processes."""
    processes = [declared_process(instance, name) for name in instance.stack.names]
    return tuple(file for process in processes if process is not None for file in process.files if file.tracked)


def declared_process(instance: Instance, name: str) -> Workload | None:
    """Return a component's workload as it is declared now; None if it is not, or can't run as a process.

    What runs may have been declared otherwise, and has to be stopped all the same.
    """
    try:
        return process_of(instance, name)
    except (KeyError, DeclarationError):
        return None


def _port_fields(instance: Instance, process: Workload) -> dict[str, object]:
    return {f"port{_suffix(port.id)}": instance.ports.get(port.id, "chosen by the engine") for port in process.ports}


def _suffix(part: PortId) -> str:
    return f".{part.name}" if part.name else ""


def _volume_suffix(name: str, volume: VolumeId) -> str:
    """Tell the volumes of a component by their names, and those that it shares by their component too."""
    return _suffix(volume) if volume.component == name else f".{volume}"


def _shown(layout: Layout, value: Value) -> str:
    def name(named: Reference | SecretValue) -> str:
        if isinstance(named, ParameterReference):
            return named.value(layout.parameters)
        reference = named.secret if isinstance(named, SecretValue) else named
        return f"<{reference.component}.{reference.field}{f':{reference.name}' if reference.name else ''}>"

    return resolved(value, name)


def _program(instance: Instance, layout: Layout, name: str, program: str) -> str:
    process = process_of(instance, name)
    return _PROGRAM.format(
        name=program,
        command=quote(command(instance, layout, name, program)),
        # What is used is started first and stopped last.
        priority=100 * (1 + instance.stack.depth(name)),
        begins=_BY_HAND if process.once else "",
        restart=_RESTARTS[process.restart],
        # A program that ends earlier is started again in any case.
        held_after=0 if process.restart == "no" else 1,
        stop_signal=process.stop_signal,
        stop_grace=process.stop_grace,
    )


def command(instance: Instance, layout: Layout, name: str, program: str) -> tuple[str, ...]:
    """Return all words of a command: `launch` with the environment, what makes the data, and the program itself.

    `program`: which of the replicas of a component it is.
    """
    component, process = instance.stack[name], process_of(instance, name)
    ports = [[each for each in process_of(instance, used).ports if not each.udp] for used in component.needs]
    used = [port for connected in ports for port in connected[:1]]
    reach = [word for port in used for word in ("--reach", f"{HOST}:{layout.ports[port.id]}")]
    folder = instance.source(name) if process.source else layout.home.folder
    variables = [f"{variable}={value}" for variable, value in environment(instance, layout, name).items()]
    own = [resolve(layout, value) for value in process.words or ()]
    own[0] = layout.program(name, own[0])
    return (
        *layout.script("launch"), "--run", str(layout.home.run(program)), *reach, "--folder", str(folder),
        *_given_variables(layout, name, process), *variables, "--", *preparation(layout, process), *own,
    )  # fmt: skip


def _given_variables(layout: Layout, name: str, process: Workload) -> tuple[str, ...]:
    """Name the file of the variables with secrets and parameters, with a digest of all but the secrets.

    Supervisord starts a program again if its command changes, and so if anything of these variables but a secret does.
    """
    if not process.given_environment:
        return ()
    hidden = {variable: resolve(layout, value) for variable, value in process.given_environment.items()}
    return "--variables", str(layout.home.variables(name)), "--version", digest(json.dumps(hidden))


def environment(instance: Instance, layout: Layout, name: str) -> dict[str, str]:
    """Return the variables of a component's process, without those of `given_environment`. It inherits none."""
    base = {"HOME": str(layout.home.folder), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    own = process_of(instance, name).plain_environment
    return {**layout.programs_of(name), **base} | {variable: resolve(layout, value) for variable, value in own.items()}


def variables(instance: Instance, layout: Layout, name: str) -> dict[str, str]:
    """Return all variables of a component's process, with `***` for each secret."""
    given = process_of(instance, name).given_environment
    return environment(instance, layout, name) | {variable: resolve(layout, value) for variable, value in given.items()}


def preparation(layout: Layout, process: Workload) -> tuple[str, ...]:
    """Return the words before a component's command that make its data if there is none."""
    if not process.prepare:
        return ()
    file, *arguments = (resolve(layout, value) for value in process.prepare)
    return (*layout.python_script(file), *arguments)


def resolve(layout: Layout, value: Value, reveal: Callable[[SecretValue], str] = hide) -> str:
    """Insert what a value refers to: paths of this machine, and ports on its loopback address."""

    def of(reference: Reference | SecretValue) -> str:
        if isinstance(reference, SecretValue):
            return reveal(reference)
        if isinstance(reference, ParameterReference):
            return reference.value(layout.parameters)
        if isinstance(reference, SecretReference):
            return str(layout.home.secret(reference.id))
        component, name = reference.component, reference.name
        return {
            "host": lambda: HOST,
            "bind": lambda: HOST,
            "every": lambda: EVERY_ADDRESS,
            "port": lambda: str(layout.port(component, name)),
            "volume": lambda: str(layout.home.volume(VolumeId.of(component, name))),
            "shared": lambda: str(layout.home.volume(VolumeId.of(name))),
            "data": lambda: str(layout.home.data(component)),
            "socket": lambda: str(layout.home.runtime),
            "file": lambda: str(layout.file(component, name)),
            "tools": lambda: str(layout.programs[component].folder),
            "major": lambda: str(layout.programs[component].major),
        }[reference.field]()

    return resolved(value, of)


def quote(words: Sequence[str]) -> str:
    """Quote a command for `launch`: supervisord reads an INI file, replaces `%`, and splits as a shell would.

    No value of such a file can hold every line end, so `launch` knows them as `\\n` and `\\r`. There ` ;` and ` #`
    begin a comment: a quotation that ends and begins again parts the two, and changes nothing for a shell.
    """
    quoted = " ".join(shlex.quote(_one_line(word)) for word in words)
    return _literal(re.sub(r"(\s)([;#])", r"\1''\2", quoted))


def _one_line(word: str) -> str:
    return word.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _literal(text: str) -> str:
    return text.replace("%", "%%")
