"""The parts that several kinds of component have: volumes, a health check, and variables that say where things are."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from stack import health
from stack.capabilities import Host
from stack.checking import (
    checked_image,
    checked_mapping,
    checked_name,
    checked_path,
    checked_plain,
    checked_seconds,
    checked_target,
)
from stack.errors import StackError
from stack.fields import is_secret_name
from stack.model import Component
from stack.references import Reference, Value, variable_prefix
from stack.workload import DOCKERFILE, Build, Healthcheck, HttpCheck, PortId, TcpCheck, Volume, VolumeId

# A user of no image: whatever an image says, nothing runs as root.
USER = "10001:10001"
TMP = "/tmp"  # noqa: S108 - in the container
_LONGEST_LINE = 300


def check_origin(component: Component, image: object, source: object) -> None:
    """Check that a component has an image or a source, the folder of a Dockerfile, and not both."""
    if (image is None) == (source is None):
        which = "are both given; leave one out" if image is not None else "are both missing"
        raise component.wrong(
            "image", f"and source {which}: a component runs an image, or is built from a folder with a Dockerfile"
        )
    if source is None:
        checked_image(component, image)
    else:
        checked_path(component, "source", source)


def checked_build(component: Component, image: object, dockerfile: object, target: object, args: object) -> Build:
    """Return how the image of a component is made of its source. One that has an `image` is not built."""
    given = {"dockerfile": dockerfile, "target": target, "args": args or None}
    for name, value in given.items():
        if image is not None and value is not None:
            raise component.wrong(name, "is for an image that is built; give a source, or leave it out")
    plain = {
        checked_plain(component, "args", key): checked_plain(component, f"args/{key}", value)
        for key, value in checked_mapping(component, "args", args).items()
    }
    return Build(
        None if target is None else checked_plain(component, "target", target),
        MappingProxyType(plain),
        DOCKERFILE if dockerfile is None else _checked_dockerfile(component, dockerfile),
    )


def _checked_dockerfile(component: Component, value: object) -> str:
    path = posixpath.normpath(checked_plain(component, "dockerfile", value))
    if path.startswith(("/", "../")) or path in (".", ".."):
        raise component.wrong("dockerfile", f"{value!r} is not a path in the source (like 'docker/Dockerfile')")
    return path


def checked_volumes(component: Component, volumes: object) -> Mapping[str, str]:
    """Return the folder of each volume, by its name. No two are the same, or one inside the other."""
    folders = {
        checked_name(component, "volumes", name): checked_target(component, f"volumes/{name}", folder)
        for name, folder in checked_mapping(component, "volumes", volumes).items()
    }
    for name, folder in folders.items():
        for other, outer in folders.items():
            if other != name and f"{folder}/".startswith(f"{outer}/"):
                raise component.wrong(f"volumes/{name}", f"{folder!r} is in {outer!r}, the folder of {other!r}")
    return MappingProxyType(folders)


def volumes_of(component: Component, folders: Mapping[str, str]) -> tuple[Volume, ...]:
    name = component.name
    return tuple(
        Volume(VolumeId.of(name, each), f"{name}-{each}", folder, owned=True) for each, folder in folders.items()
    )


def located(name: str, ports: tuple[str, ...], volumes: tuple[str, ...]) -> dict[str, Value]:
    """Return the variables that tell a program where it has to listen, and where its volumes are."""
    where: dict[str, Value] = {"BIND": Reference(name, "bind"), "PORT": Reference(name, "port")} if ports else {}
    where |= {f"PORT_{variable_prefix(each)}": Reference(name, "port", each) for each in ports if each}
    return where | {f"VOLUME_{variable_prefix(each)}": Reference(name, "volume", each) for each in volumes}


def without_secrets(environment: Mapping[str, Value | int | float], hidden: str) -> dict[str, Value | int | float]:
    """Return an environment with `hidden` for each value that is a secret by its name."""
    return {name: hidden if is_secret_name(name) else value for name, value in environment.items()}


def checked_health(component: Component, value: object, ports: tuple[str, ...], published: tuple[str, ...]) -> None:
    if value is None:
        return
    if isinstance(value, health.Command):
        _check_command(component, value)
        return
    if not isinstance(value, (health.Http, health.Tcp)):
        raise component.wrong("health", f"{value!r} is none of health.http(…), health.tcp(…), health.command(…), None")
    if value.port not in ("", *ports):
        raise component.wrong("health", f"{value.port!r} is none of its ports ({', '.join(ports) or 'it has none'})")
    if not published or value.port not in ("", *published):
        problem = f"{value.port!r} is not published" if value.port else "none of its ports is published"
        raise component.wrong("health", f"{problem}, so it can't be asked from outside; use health.command([…])")
    if isinstance(value, health.Http) and not (isinstance(value.path, str) and value.path.startswith("/")):
        raise component.wrong("health", f"{value.path!r} is not a path of a URL (it starts with /)")


def _check_command(component: Component, asked: health.Command) -> None:
    words = asked.words
    if isinstance(words, str) or not isinstance(words, Sequence) or not words:
        raise component.wrong("health", f"{words!r} is not a list of words, like ['curl', '-f', URL]")
    for word in words:
        checked_plain(component, "health", word)
    for name, value in (("interval", asked.interval), ("timeout", asked.timeout), ("retries", asked.retries)):
        checked_seconds(component, f"health/{name}", value)


def probe_of(name: str, asked: health.Health | None, published: tuple[str, ...]) -> HttpCheck | TcpCheck | None:
    """Return what is asked from outside."""
    if asked is None or isinstance(asked, health.Command):
        return None
    port = PortId.of(name, asked.port or published[0])
    return HttpCheck(port, asked.path) if isinstance(asked, health.Http) else TcpCheck(port)


def healthcheck_of(asked: health.Health | None) -> Healthcheck:
    """Return what an engine for containers asks: a command, or what the image says."""
    if not isinstance(asked, health.Command):
        return Healthcheck(test=None)
    return Healthcheck(("CMD", *asked.words), asked.interval, asked.timeout, asked.retries)


@dataclass(frozen=True)
class CommandCheck:
    """Asks a process with a command; see `stack.capabilities.Check`."""

    component: str
    command: health.Command

    def problem(self, host: Host) -> str | None:
        try:
            done = host.execute(self.component, self.command.words, self.command.timeout)
        except StackError as error:
            return error.message
        if done.ok:
            return None
        said = " ".join((done.stderr or done.stdout).split())
        return said[-_LONGEST_LINE:] or f"{self.command.words[0]} ended with {done.exit_code}"
