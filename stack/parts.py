"""The parts that several kinds of component have: volumes, a health check, and variables that say where things are."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
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
from stack.component import Component
from stack.errors import StackError
from stack.fields import is_secret_name
from stack.frozen import dataclass
from stack.placed import file_key
from stack.references import Reference, Value, Variable, variable_prefix
from stack.volume import Volume as SharedVolume
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


Volumes = Mapping[str, str | SharedVolume]
"""The volumes of a component, as declared: the folder of its own by their names, and the shared one of a folder."""


def checked_volumes(component: Component, volumes: object) -> Volumes:
    """Return the volumes of a component. No two have one name, and none is inside the folder of another."""
    given = checked_mapping(component, "volumes", volumes)
    checked = dict(_checked_volume(component, key, value) for key, value in given.items())
    names = [_named(key, value)[0] for key, value in checked.items()]
    for name in names:
        if names.count(name) > 1:
            raise component.wrong(f"volumes/{name}", "is there twice; a volume has one folder in a component")
    _check_apart(component, folders(checked), folders(checked))
    return MappingProxyType(checked)


def check_volumes_beside(component: Component, volumes: Volumes, app: str, theirs: Volumes) -> None:
    """Check the volumes of a component that has those of an app too."""
    for name in folders(volumes):
        if name in folders(theirs):
            raise component.wrong(f"volumes/{name}", f"is a volume of {app!r} already; choose another name")
    _check_apart(component, folders(volumes), folders(volumes) | folders(theirs))


def _checked_volume(component: Component, key: object, value: object) -> tuple[str, str | SharedVolume]:
    if isinstance(value, SharedVolume):
        return checked_target(component, f"volumes/{value.name}", key), value
    if isinstance(key, str) and key.startswith("/"):
        raise component.wrong(
            "volumes",
            f"{value!r} is no Volume; write {{'media': {key!r}}}, or {{{key!r}: Volume('media')}} to share it",
        )
    name = checked_name(component, "volumes", key)
    return name, checked_target(component, f"volumes/{name}", value)


def _check_apart(component: Component, inner: Mapping[str, str], outer: Mapping[str, str]) -> None:
    """Check that no folder is one of another volume, or inside it, whichever of both is a volume of `inner`."""
    pairs = [(name, other) for name in inner for other in outer if other != name]
    both = {**outer, **inner}
    for name, other in (*pairs, *((other, name) for name, other in pairs)):
        if f"{both[name]}/".startswith(f"{both[other]}/"):
            raise component.wrong(f"volumes/{name}", f"{both[name]!r} is in {both[other]!r}, the folder of {other!r}")


def _named(key: str, value: str | SharedVolume) -> tuple[str, str]:
    return (value.name, key) if isinstance(value, SharedVolume) else (key, value)


def folders(volumes: Volumes) -> dict[str, str]:
    """Return the folder of each volume by the name of the volume."""
    return dict(_named(key, value) for key, value in volumes.items())


def volumes_of(component: Component, volumes: Volumes) -> tuple[Volume, ...]:
    name = component.name

    def mounted(key: str, value: str | SharedVolume) -> Volume:
        if isinstance(value, SharedVolume):
            own = VolumeId.of(value.name)
            return Volume(
                own,
                value.name,
                key,
                owned=not value.from_image,
                shared=True,
                backup=value.backup,
                read_only=not value.writable,
            )
        return Volume(VolumeId.of(name, key), f"{name}-{key}", value, owned=True)

    return tuple(mounted(key, value) for key, value in volumes.items())


def bind_address(name: str, public: bool) -> Reference:
    """Refer to the address that a program has to listen on."""
    return Reference(name, "every" if public else "bind")


def located(
    name: str, ports: tuple[str, ...], volumes: Volumes, files: Mapping[str, str], public: bool = False
) -> dict[str, Value]:
    """Return the variables that tell a program where it has to listen, and where its volumes and files are."""
    where: dict[str, Value] = {"BIND": bind_address(name, public), "PORT": Reference(name, "port")} if ports else {}
    where |= {f"PORT_{variable_prefix(each)}": Reference(name, "port", each) for each in ports if each}
    where |= {
        f"VOLUME_{variable_prefix(each)}": Reference(name, "shared" if each not in volumes else "volume", each)
        for each in folders(volumes)
    }
    return where | {f"FILE_{variable_prefix(each)}": Reference(name, "file", each) for each in map(file_key, files)}


def without_secrets(environment: Mapping[str, Variable], hidden: str) -> dict[str, Variable]:
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
    """Return what is asked from outside: if nothing is declared, whether what is published takes a connection."""
    if isinstance(asked, health.Command) or not published:
        return None
    if asked is None:
        return TcpCheck(PortId.of(name, published[0]))
    port = PortId.of(name, asked.port or published[0])
    return HttpCheck(port, asked.path) if isinstance(asked, health.Http) else TcpCheck(port)


def healthcheck_of(asked: health.Health | None) -> Healthcheck:
    """Return what an engine for containers asks: a command, or what the image says."""
    if not isinstance(asked, health.Command):
        return Healthcheck(test=None)
    return Healthcheck(("CMD", *asked.words), asked.interval, asked.timeout, asked.retries)


@dataclass(frozen=True)
class PageCheck:
    """Asks a process for a page of one of its ports; see `stack.capabilities.Check`."""

    component: str
    port: str
    path: str

    def problem(self, host: Host) -> str | None:
        try:
            request = f"GET {self.path} HTTP/1.0\r\n\r\n".encode()
            answer = host.exchange(host.port(self.component, self.port), request, 1)
        except OSError as error:
            return str(error)
        line = answer.decode("utf-8", errors="replace").partition("\r\n")[0]
        return None if " 200 " in f"{line} " else line or "it closes the connection"


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
