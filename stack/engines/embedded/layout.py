"""Name the paths and ports of an embedded instance; touch none of them.

HOME/conf/      the configuration of supervisord, and the files that components read
HOME/data/      a folder for each volume (NAME.2 for its second revision), which outlives `down`, and one for each
                component that needs a folder to work in
HOME/logs/      what each component wrote, and older parts of that
HOME/runs/      the start log of each component: a line for each time that it was started
HOME/bin/       commands for `stackctl exec`
HOME/ports.json the ports that were chosen
HOME/virtual-env the path of the virtual environment that was active at the last `up`
HOME/state      the path of the instance's state, if the home is not inside it
RUNTIME/        sockets, whose paths must be short
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path

from stack.capabilities import Programs
from stack.frozen import dataclass
from stack.instance import FILES, Instance, generation_mark
from stack.parameters import Given
from stack.workload import PortId, VolumeId

# Every server listens on this address alone, unless it is declared to be public.
HOST = "127.0.0.1"
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - as declared
# The homes of root's instances. Root owns this folder, and the instances' users may pass through it.
ROOT_HOMES = Path("/var/lib/stackctl")
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_SCRIPTS = Path(__file__).parent


@dataclass(frozen=True)
class Home:
    """The folders of an instance, and that of its secret files; `generations` as in `Instance`."""

    folder: Path
    runtime: Path
    secrets: Path
    generations: Mapping[VolumeId, int] = field(default_factory=dict)

    @property
    def configuration(self) -> Path:
        return self.folder / "conf" / "supervisord.conf"

    @property
    def applied(self) -> Path:
        """The note of which configuration supervisord has applied."""
        return self.folder / "conf" / "applied.json"

    @property
    def ports(self) -> Path:
        return self.folder / "ports.json"

    @property
    def virtual_env(self) -> Path:
        return self.folder / "virtual-env"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def commands(self) -> Path:
        return self.folder / "bin"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def control(self) -> Path:
        """The socket of supervisord."""
        return self.runtime / "supervisord.sock"

    def file(self, component: str, name: str) -> Path:
        """Return the path of a file that a component reads."""
        return self.folder / "conf" / f"{name}-{component}"

    def variables(self, component: str) -> Path:
        """Return the path of the file with the variables of a component that hold secrets and parameters."""
        return self.file(component, "variables")

    @property
    def copies(self) -> Path:
        """The folder of the copies of declared files, each named after what it holds."""
        return self.folder / "conf" / FILES

    def volume(self, volume: VolumeId) -> Path:
        """Return the folder of a volume. No component has a name with an underscore."""
        name = volume.replace(":", "_")
        return self.folder / "data" / f"{name}{generation_mark(self.generations.get(volume, 1))}"

    def data(self, component: str) -> Path:
        """Return the folder that is a component's own: that of its volume, or the one that it works in."""
        return self.volume(VolumeId.of(component))

    def log(self, component: str) -> Path:
        return self.logs / f"{component}.log"

    def run(self, component: str) -> Path:
        return self.runs / component

    def secret(self, secret_id: str) -> Path:
        return self.secrets / secret_id


def programs_of(component: str, replicas: int) -> tuple[str, ...]:
    """Name the programs of supervisord that run a component, one for each replica: `worker`, `worker.2`.

    The first has the name of the component, which has no dot, and stays as it is when another one comes.
    """
    return (component, *(f"{component}.{number}" for number in range(2, replicas + 1)))


def component_of(program: str) -> str:
    return program.partition(".")[0]


def number_of(program: str) -> int:
    """Return the number of the replica that a program is."""
    number = program.partition(".")[2]
    return int(number) if number.isdigit() else 1


def home_of(instance: Instance) -> Home:
    return replace(home_at(instance.project, instance.state), generations=instance.generations)


def home_at(project: str, state: Path) -> Home:
    """Return the home of an instance: inside the instance's state, but for root outside of root's own folders.

    A plain user's sockets are elsewhere, because their paths must be short.
    """
    # Not the effective user, which is another in `acting_as`.
    if (caller := os.getuid()) != 0:
        name = hashlib.sha256(project.encode()).hexdigest()[:10]
        runtime = Path(f"/tmp/stackctl-{caller}-{name}")  # noqa: S108 - made by make_private alone
        return Home(state / "embedded", runtime, state / "secrets")
    folder = ROOT_HOMES / project
    return Home(folder, folder / "run", folder / "secrets")


@dataclass(frozen=True)
class Layout:
    """A home, with its ports, the programs of each component, the virtual environments of apps, and the parameters.

    `copies`: the name of the copy of each declared file, by the name of the file.
    """

    home: Home
    ports: Mapping[PortId, int]
    programs: Mapping[str, Programs]
    python: str = sys.executable
    scripts: Path = _SCRIPTS
    virtual_envs: Mapping[str, Path] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Given] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The PATH of every component: the commands that came with stackctl, and the system's.

        Not the user's, which is another in every shell: the same declaration has to run the same programs.
        """
        return f"{Path(self.python).parent}:{_SYSTEM_PATH}"

    def programs_of(self, component: str) -> Mapping[str, str]:
        """Return the variables with which a component finds programs, in its own virtual environment first."""
        own = self.virtual_envs.get(component)
        return {"PATH": self.path} if own is None else {"PATH": f"{own}/bin:{self.path}", "VIRTUAL_ENV": str(own)}

    def port(self, component: str, name: str = "") -> int:
        """Return the port of a component: the named one, or its first."""
        ports = (port for id_, port in self.ports.items() if id_.component == component and name in ("", id_.name))
        return next(ports)

    def file(self, component: str, name: str) -> Path:
        """Return the path of a file that a component reads: the copy of a declared one, or one made for it."""
        copy = self.copies.get(f"{component}.{name}")
        return self.home.file(component, name) if copy is None else self.home.copies / copy

    @property
    def tools(self) -> str:
        """The folders of the tools, for a PATH: those of the first component win."""
        return ":".join(dict.fromkeys(str(folder) for each in self.programs.values() for folder in each.tools))

    def program(self, component: str, name: str) -> str:
        """Return the path of a program of a component; a name that it brings no program for stays a name."""
        own = self.programs.get(component, Programs())
        return str(self.home.commands / name) if name in own.scripts else str(own.paths.get(name, name))

    def script(self, name: str) -> tuple[str, ...]:
        """Return the command of a script of this folder, that needs nothing but Python."""
        return self.python_script(str(self.scripts / f"{name}.py"))

    def python_script(self, file: str) -> tuple[str, ...]:
        return (self.python, "-I", "-S", file)
