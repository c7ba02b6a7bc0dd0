"""A Compose project as it was read, and notes about what becomes of it. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from stack.fields import is_secret_name
from stack.importing.interpolation import Template, Variable, filled, parse, variables_in

# In the place of a variable while a command is split into words.
_PLACES = 0xE000
_PLACE = re.compile("[\ue000-\uf8ff]")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_SIZES = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}


@dataclass(frozen=True)
class Note:
    """What became of a key of a service, and why. `service` is empty for a key of the whole project."""

    service: str
    key: str
    reason: str


@dataclass
class Notes:
    """What is collected while a project is converted."""

    kept: list[Note] = field(default_factory=list)
    engine: list[Note] = field(default_factory=list)
    lost: list[Note] = field(default_factory=list)
    decided: list[Note] = field(default_factory=list)

    def copy(self) -> Notes:
        return Notes(*map(list, (self.kept, self.engine, self.lost, self.decided)))

    def keep(self, service: str, key: str, reason: str) -> None:
        self.kept.append(Note(service, key, reason))

    def leave(self, service: str, key: str, reason: str) -> None:
        self.engine.append(Note(service, key, reason))

    def lose(self, service: str, key: str, reason: str) -> None:
        if Note(service, key, reason) not in self.lost:
            self.lost.append(Note(service, key, reason))

    def decide(self, service: str, key: str, reason: str) -> None:
        if Note(service, key, reason) not in self.decided:
            self.decided.append(Note(service, key, reason))


@dataclass(frozen=True)
class Service:
    """A service: `raw` as it is written, with its variables, `plain` with their values and in Compose's long forms.

    `given`: the values of variables. `from_files`: the variables of its `env_file`, None if one of these is missing.
    """

    name: str
    raw: Mapping[str, Any]
    plain: Mapping[str, Any]
    given: Mapping[str, str]
    from_files: Mapping[str, str] | None

    @cached_property
    def environment(self) -> Mapping[str, Template | None]:
        """Its variables; None for one that is passed on from the shell."""
        declared = pairs(self.raw.get("environment"))
        return {name: None if value is None else parse(_text(value)) for name, value in declared.items()}

    @cached_property
    def values(self) -> Mapping[str, str]:
        """The values of its variables, those of its files too, as far as they are known."""
        own = {name: "" if value is None else self.fill(value) for name, value in self.environment.items()}
        return {**(self.from_files or {}), **own}

    @property
    def text_of(self) -> Mapping[str, Template]:
        """The texts of its variables, those of its files too."""
        from_files: dict[str, Template] = {
            name: (value,) if value else () for name, value in (self.from_files or {}).items()
        }
        return {**from_files, **{name: value or () for name, value in self.environment.items()}}

    def fill(self, template: Template) -> str:
        return filled(template, self.given)

    def words(self, key: str) -> list[Template] | None:
        """Return the words of its `command` or `entrypoint`; None if it declares none."""
        value = self.raw.get(key)
        if value is None:
            return None
        if isinstance(value, str):
            return split(value)
        return [parse(_text(word)) for word in value]

    @property
    def image(self) -> str:
        return str(self.plain.get("image") or "")

    @property
    def has_build(self) -> bool:
        return bool(self.plain.get("build"))

    @cached_property
    def needs(self) -> Mapping[str, Mapping[str, Any]]:
        return dict(self.plain.get("depends_on") or {})

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """The names by which others reach it."""
        networks = self.plain.get("networks") or {}
        aliases = [alias for each in networks.values() if each for alias in each.get("aliases") or ()]
        names = [self.name, self.plain.get("container_name"), self.plain.get("hostname"), *aliases]
        return tuple(dict.fromkeys(str(name) for name in names if name))

    @property
    def ports(self) -> list[Mapping[str, Any]]:
        return [port for port in self.plain.get("ports") or [] if isinstance(port, Mapping)]

    @property
    def mounts(self) -> list[Mapping[str, Any]]:
        return [mount for mount in self.plain.get("volumes") or [] if isinstance(mount, Mapping)]

    @property
    def tmpfs(self) -> list[str]:
        """The folders that it has in memory, without their options."""
        declared = self.plain.get("tmpfs") or []
        listed = [declared] if isinstance(declared, str) else declared
        return [str(each).partition(":")[0].rstrip("/") for each in listed]

    @property
    def restart(self) -> str:
        return str(self.plain.get("restart") or "").partition(":")[0]

    def secrets_in(self, key: str) -> tuple[str, ...]:
        """Return the names of the secret variables in the text of a key."""
        found = {each.name for text in texts(self.raw.get(key)) for each in variables_in(parse(text))}
        return tuple(sorted(name for name in found if is_secret_name(name) and self.given.get(name)))


@dataclass(frozen=True)
class Project:
    """A project: its folder, and the model as it is written and with values.

    `given`: the values of `.env`; `known`: those of an example of it, if there is none; `profiles`: those that are on.
    `variables`: those of each file that a service names, None for one that is missing. `found`: whether what is mounted
    is a `file` or a `folder`, if it is there. `contents`: the texts of small files that are mounted. `notes`: what
    could not be read, because a variable has no value.
    """

    folder: Path
    raw: Mapping[str, Any]
    plain: Mapping[str, Any]
    given: Mapping[str, str]
    known: Mapping[str, str]
    profiles: Sequence[str]
    variables: Mapping[str, Mapping[str, str] | None]
    found: Mapping[str, str]
    contents: Mapping[str, str]
    notes: Notes

    @property
    def name(self) -> str:
        return str(self.raw.get("name") or self.folder.name)

    @cached_property
    def services(self) -> Mapping[str, Service]:
        plain = self.plain["services"]
        return {
            name: Service(name, raw, plain.get(name) or {}, self.known, self._from_files(raw))
            for name, raw in self.raw["services"].items()
        }

    def _from_files(self, raw: Mapping[str, Any]) -> Mapping[str, str] | None:
        found: dict[str, str] = {}
        missing = False
        for path, _ in env_files(raw):
            variables = self.variables.get(path)
            missing = missing or variables is None
            found |= variables or {}
        return None if missing else found

    def beside(self, path: str) -> str | None:
        """Return a path as it is called from the folder of the project; None for one outside of it."""
        relative = posixpath.relpath(path, str(self.folder))
        return None if relative.startswith("..") else relative

    def volume(self, name: str) -> Mapping[str, Any]:
        return (self.plain.get("volumes") or {}).get(name) or {}


def env_files(service: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Return the files of variables of a service, each with whether it has to be there."""
    named = [each if isinstance(each, Mapping) else {"path": each} for each in service.get("env_file") or ()]
    return [(str(each["path"]), bool(each.get("required", True))) for each in named]


def split(text: str) -> list[Template]:
    """Split a command into words as a shell would, with the variables in them."""
    variables: list[Variable] = []
    marked = ""
    for part in parse(text):
        if isinstance(part, Variable):
            marked += chr(_PLACES + len(variables))
            variables.append(part)
        else:
            marked += part
    try:
        words = shlex.split(marked)
    except ValueError:
        words = ["/bin/sh", "-c", marked]
    return [_put_back(word, variables) for word in words]


def _put_back(word: str, variables: Sequence[Variable]) -> Template:
    literals, marks = _PLACE.split(word), _PLACE.findall(word)
    parts: list[str | Variable] = [literals[0]] if literals[0] else []
    for mark, literal in zip(marks, literals[1:], strict=True):
        parts += [variables[ord(mark) - _PLACES], *([literal] if literal else [])]
    return tuple(parts)


def pairs(value: object) -> dict[str, Any]:
    """Return what is a mapping, or a list of `NAME=VALUE`, as a mapping; None for a name without a value."""
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items()}
    split_up = (str(each).partition("=") for each in value or ()) if isinstance(value, list) else ()
    return {name: text if equals else None for name, equals, text in split_up}


def texts(value: object) -> Iterator[str]:
    """Yield every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def _text(value: object) -> str:
    """Return a value of YAML as Compose passes it on."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def seconds(text: object) -> float:
    """Return a duration like `1m30s` in seconds."""
    return sum(float(value) * _UNITS[unit] for value, unit in re.findall(r"([\d.]+)(h|ms|m|s|us|ns)", str(text or "")))


def mebibytes(value: object) -> int:
    """Return a size like `256m` in MiB, at least one; 0 for none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgb]?)i?b?", str(value or "").lower().strip())
    size = float(found[1]) * _SIZES[found[2]] if found else 0.0
    return max(int(size // 2**20), 1) if size else 0
