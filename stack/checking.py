"""Check the values of a declaration. Each raises `DeclarationError` with the path of the field."""

from __future__ import annotations

import math
import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from types import MappingProxyType

from stack.calls import check_name, sequence
from stack.component import Component
from stack.errors import DeclarationError
from stack.external import External
from stack.parameters import Parameter
from stack.references import (
    BIND,
    PORT,
    Reference,
    SecretReference,
    SecretValue,
    Text,
    Value,
    deferred,
    is_secret,
    of_parameter,
    owned,
    parts_of,
)
from stack.refused import EXAMPLES
from stack.workload import HOST_GATEWAY

# More than any machine has: 16 TiB, and a day.
_MOST_MEMORY, _MOST_CPUS, _MOST_SECONDS = 16 * 2**20, 256, 86400
_MOST_REPLICAS = 100
_NUMBERS = re.compile(r"[1-9][0-9]{0,9}:[1-9][0-9]{0,9}")
# Numbers, or names of the image's own list of users.
_USER = re.compile(
    r"(?!root(?::|$))(?:[1-9][0-9]{0,9}|[a-z_][a-z0-9_-]{0,31})(?::(?:[1-9][0-9]{0,9}|[a-z_][a-z0-9_-]{0,31}))?"
)
# Words that mean something to a shell alone, and none reads a command here.
_SHELL = re.compile(r"&&?|\|\|?|;|[0-9]?>.*|<.*|\$\(.*|`.*", re.DOTALL)
_ENGINE_FOLDERS = ("/proc", "/sys", "/dev", "/run/secrets", "/var/run/docker.sock", "/run/docker.sock")
# A repository in lower case, perhaps with a registry, a tag and a digest (https://pkg.go.dev/github.com/distribution/reference).
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
# Some programs read names with dots, like `discovery.type`.
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.(?!-)[A-Za-z0-9_-]{1,63})*\.?")
# Linux allows a machine no longer one.
_LONGEST_HOST_NAME = 64
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_OUR_LABELS = ("stackctl.", "com.docker.")
# As `man 2 setrlimit` has them.
_ULIMITS = (
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip
_UNLIMITED = -1
# Those that Docker gives by default, and that an image may need which begins as root. Any other opens the machine.
_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID",
)  # fmt: skip


def used_names(component: Component, uses: object, field: str = "uses") -> tuple[str, ...]:
    """Return the names in `uses=[…]`, which takes components and names of components."""
    names = []
    for used in sequence(f"{component.name}/{field}", uses):
        if isinstance(used, External):
            if field != "uses":
                raise component.wrong(field, f"{used.name!r} is an External, which stands in `uses` alone")
            continue
        if not isinstance(used, (Component, str)):
            raise component.wrong(field, f"{used!r} is neither a component nor the name of one")
        names.append(used.name if isinstance(used, Component) else used)
    for name in names:
        if names.count(name) > 1:
            raise component.wrong(field, f"{name!r} is listed twice")
    return tuple(names)


def related_names(component: Component, **fields: object) -> Mapping[str, tuple[str, ...]]:
    """Return the names in each of `uses=[…]`, `after=[…]` and `reaches=[…]`; a name is in one of them."""
    related = {field: used_names(component, names, field) for field, names in fields.items()}
    where: dict[str, str] = {}
    for field, names in related.items():
        for name in names:
            if name in where:
                raise component.wrong(field, f"{name!r} is in `{where[name]}` already")
            where[name] = field
    if component.name in related.get("reaches", ()):
        raise component.wrong("reaches", f"{component.name!r} is the component itself")
    return related


def checked_port(component: Component, field: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        raise component.wrong(field, f"{value!r} is not a port (1-65535)")
    return value


def checked_publish(component: Component, value: object, usual: int) -> int | None:
    """Return the port of this machine that a server is published on: `usual` for True, None for no port."""
    if value is None or value is False:
        return None
    return usual if value is True else checked_port(component, "publish", value)


def checked_public(component: Component, value: object, published: bool) -> None:
    """Check that a component which other machines are to reach has a published port."""
    checked_switch(component, "public", value)
    if value and not published:
        raise component.wrong("public", "opens published ports to other machines, and none is published; add publish=")


def checked_endpoint(component: Component, field: str, value: object) -> int | str:
    """Return a port in a container: a number, or `53/udp` for one that takes datagrams."""
    if not isinstance(value, str):
        return checked_port(component, field, value)
    number, _, protocol = value.partition("/")
    if protocol not in ("tcp", "udp") or not number.isascii() or not number.isdecimal():
        raise component.wrong(field, f"{value!r} is not a port (1-65535, or like '53/udp')")
    checked = checked_port(component, field, int(number))
    return checked if protocol == "tcp" else f"{checked}/udp"


def checked_memory(component: Component, memory: object, least: int, field: str = "memory") -> None:
    _checked_whole(component, field, memory, least, _MOST_MEMORY, "MiB")


def checked_cpus(component: Component, cpus: object) -> None:
    _checked_amount(component, "cpus", cpus, 0.1, _MOST_CPUS, "CPUs")


def checked_replicas(component: Component, replicas: object, singleton: bool) -> None:
    """Check how many of a component run at once; of a singleton that is one."""
    if not isinstance(replicas, int) or isinstance(replicas, bool) or not 1 <= replicas <= _MOST_REPLICAS:
        raise component.wrong("replicas", f"{replicas!r} is not a number of replicas (1-{_MOST_REPLICAS})")
    if singleton and replicas > 1:
        raise component.wrong("replicas", f"{replicas} is more than the one of a singleton; leave one of both out")


def checked_seconds(component: Component, field: str, value: object) -> None:
    _checked_whole(component, field, value, 1, _MOST_SECONDS, "seconds")


def _checked_amount(component: Component, field: str, value: object, least: float, most: float, unit: str) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value < math.inf:
        raise component.wrong(field, f"{value!r} is not an amount in {unit} (at least {least:g})")
    if value > most:
        raise component.wrong(field, f"{value!r} is not an amount in {unit} (at most {most})")


def _checked_whole(component: Component, field: str, value: object, least: int, most: int, unit: str) -> None:
    if not isinstance(value, int):
        raise component.wrong(field, f"{value!r} is not a whole number of {unit} (at least {least})")
    _checked_amount(component, field, value, least, most, unit)


def checked_environment(component: Component, environment: object) -> Mapping[str, Value]:
    """Freeze an environment: numbers become text, and a secret its value, unless the variable ends in `_FILE`."""
    if not isinstance(environment, Mapping):
        raise component.wrong("environment", f"{environment!r} is not a mapping of names to values")
    checked = {name: _checked_variable(component, name, value) for name, value in environment.items()}
    return MappingProxyType({name: _owned(component, f"environment/{name}", value) for name, value in checked.items()})


def _checked_variable(component: Component, name: object, value: object) -> Value:
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        raise component.wrong("environment", f"{name!r} is not the name of a variable")
    path = f"environment/{name}"
    if isinstance(value, Parameter):
        value = of_parameter(value)
    if is_secret(value) and name.endswith("_FILE") and not isinstance(value, SecretReference):
        raise component.wrong(
            path, "gets the path of a file: give the secret by itself, like db.password, not in a text"
        )
    if isinstance(value, SecretReference):
        return value if name.endswith("_FILE") else SecretValue(value)
    if isinstance(value, (Reference, SecretValue, Text)):
        return value
    if isinstance(value, bool):
        raise component.wrong(path, f"{value!r} is no text; write 'true', 'True' or '1', whichever the program reads")
    if not isinstance(value, (str, int, float)):
        raise component.wrong(path, f"{value!r} is not text, a number or a reference")
    return checked_text(component, path, str(value))


def checked_command(component: Component, command: object, field: str = "command") -> tuple[Value, ...]:
    """Return the words of a command, each text or a reference that is not a secret. Split a text as a shell would."""
    words = _split(component, field, command) if isinstance(command, str) else command
    if not isinstance(words, Sequence) or not words:
        raise component.wrong(field, f"{command!r} is not a list of words, like ['python', 'app.py']")
    return tuple(_owned(component, field, _checked_word(component, field, word)) for word in words)


def _owned(component: Component, field: str, value: Value) -> Value:
    """Let BIND and PORT in a value mean the component that it is given to."""
    if component.listens_on is not None:
        return owned(value, component.listens_on)
    if BIND in parts_of(value) or PORT in parts_of(value):
        raise component.wrong(field, f"has BIND or PORT in it, and {component.name!r} has no port to listen on")
    return value


def checked_entrypoint(component: Component, entrypoint: object, command: object) -> tuple[Value, ...]:
    """Return the words of an entrypoint. Without any, the command alone runs, and not what the image puts before it."""
    if isinstance(entrypoint, str) or not isinstance(entrypoint, Sequence) or entrypoint:
        return checked_command(component, entrypoint, "entrypoint")
    if command is None:
        raise component.wrong("entrypoint", "is empty, so that nothing would run; give a command too")
    return ()


def _split(component: Component, field: str, command: str) -> Sequence[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise component.wrong(field, f"{command!r} can't be split into words: {error}") from None
    if any(_SHELL.fullmatch(word) for word in words):
        raise component.wrong(field, f"{command!r} is for a shell; write ['sh', '-c', '…']")
    return words


def _checked_word(component: Component, field: str, word: object) -> Value:
    if isinstance(word, Parameter) and not word.secret:
        return of_parameter(word)
    if is_secret(word):
        raise component.misplaced(field)
    if not isinstance(word, (str, Reference, Text)):
        raise component.wrong(field, f"{word!r} is not a word of a command")
    return checked_text(component, field, word) if isinstance(word, str) else word


def checked_plain(component: Component, field: str, value: object) -> str:
    """Return text that has no reference in it."""
    if is_secret(value):
        raise component.misplaced(field)
    text = checked_text(component, field, value) if isinstance(value, str) else None
    if not isinstance(text, str):
        shown = "a reference" if isinstance(text, Text) else repr(value)
        raise component.wrong(field, f"{shown} is not plain text")
    return text


def checked_image(component: Component, value: object) -> str:
    """Return the name of an image, as `docker pull` takes it."""
    text = checked_plain(component, "image", value)
    if not _IMAGE.fullmatch(text):
        raise component.wrong("image", f"{value!r} is not the name of an image (like 'nginx:1.29')")
    return text


def checked_text(component: Component, field: str, text: str) -> str | Text:
    """Return text that can be passed to a program, with the references in it."""
    if "\0" in text:
        raise component.wrong(field, "contains a NUL byte, which environments and paths do not allow")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise component.wrong(field, f"{text!r} contains half of a character, which UTF-8 can't encode")
    try:
        return deferred(text)
    except ValueError as error:
        raise component.wrong(field, str(error)) from None


def checked_user(component: Component, value: object) -> str | None:
    """Return the user and perhaps the group, in numbers or by name; None for `image`, the user that the image names."""
    if value == "image":
        return None
    if not isinstance(value, str) or not _USER.fullmatch(value):
        raise component.wrong("user", f"{value!r} is not a user of a container, or is root (like 10001:10001, or node)")
    return value


def check_numbers(component: Component, field: str, value: object) -> None:
    """Check that it is a user and group in numbers, and not root."""
    if not isinstance(value, str) or not _NUMBERS.fullmatch(value):
        raise component.wrong(field, f"{value!r} is not a user and group in numbers, or is root (like 10001:10001)")


def checked_switch(component: Component, field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise component.wrong(field, f"{value!r} is neither True nor False")


def checked_name(component: Component, field: str, value: object) -> str:
    """Return the name of a part of a component: of a port, or of a volume."""
    return check_name(f"{component.name}/{field}", value)


def checked_mapping(component: Component, field: str, value: object) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        example = EXAMPLES.get(field, "{'name': 'value'}")
        raise DeclarationError(f"{component.name}/{field}", f"{value!r} is not a mapping", f"write it like {example}")
    return value


def checked_target(component: Component, field: str, value: object) -> str:
    """Return the absolute path of a folder in a container."""
    if not isinstance(value, str) or not value.startswith("/") or posixpath.normpath(value) != value or value == "/":
        raise component.wrong(field, f"{value!r} is not an absolute path in the container, like '/data'")
    if any(value == kept or value.startswith(f"{kept}/") for kept in _ENGINE_FOLDERS):
        raise component.wrong(field, f"{value!r} is a place that the engine or the kernel needs; choose another")
    text = checked_text(component, field, value)
    if not isinstance(text, str) or ":" in text:
        raise component.wrong(field, f"{value!r} is not a plain path: it has a colon or a reference")
    return text


def checked_path(component: Component, field: str, value: object) -> str:
    """Return the path of a folder, as declared."""
    if not isinstance(value, str) or not value.strip():
        raise component.wrong(field, f"{value!r} is not the path of a folder")
    checked_text(component, field, value)
    return value


def checked_files_of_variables(component: Component, files: object) -> tuple[str, ...]:
    """Return the paths of files with variables, `env_files=["backend.env"]`."""
    paths = sequence(f"{component.name}/env_files", files)
    for path in paths:
        if not isinstance(path, str) or not path.strip():
            raise component.wrong("env_files", f"{path!r} is not the path of a file, like 'backend.env'")
        checked_plain(component, "env_files", path)
        if paths.count(path) > 1:
            raise component.wrong("env_files", f"{path!r} is listed twice")
    return tuple(map(str, paths))


def checked_labels(component: Component, labels: object) -> Mapping[str, str]:
    """Return the labels of a container. Those with which stackctl and Compose know their own are not free."""
    return MappingProxyType(
        {
            _checked_label(component, name): checked_plain(component, f"labels/{name}", value)
            for name, value in checked_mapping(component, "labels", labels).items()
        }
    )


def _checked_label(component: Component, name: object) -> str:
    if not isinstance(name, str) or not _LABEL.fullmatch(name):
        raise component.wrong("labels", f"{name!r} is not the name of a label (like 'com.example.team')")
    if name.startswith(_OUR_LABELS):
        raise component.wrong("labels", f"{name!r} begins like a label of stackctl or Docker; choose another")
    return name


def checked_ulimits(component: Component, ulimits: object) -> Mapping[str, int]:
    """Return the limits of each process of a container, by their names; -1 for none."""
    given = checked_mapping(component, "ulimits", ulimits)
    for name, value in given.items():
        if name not in _ULIMITS:
            raise component.wrong("ulimits", f"{name!r} is none of {', '.join(_ULIMITS)}")
        if not isinstance(value, int) or isinstance(value, bool) or not _UNLIMITED <= value < 2**63:
            raise component.wrong(f"ulimits/{name}", f"{value!r} is not a whole number (-1 for no limit)")
    return MappingProxyType({str(name): int(str(value)) for name, value in given.items()})


def checked_capabilities(component: Component, capabilities: object) -> tuple[str, ...]:
    """Return the capabilities of the kernel that a container keeps."""
    names = []
    for each in sequence(f"{component.name}/capabilities", capabilities):
        if each not in _CAPABILITIES:
            problem = f"{each!r} is refused: it reaches beyond the container, or is not a capability"
            hint = f"those that an image may need are {', '.join(_CAPABILITIES)}"
            raise DeclarationError(f"{component.name}/capabilities", problem, hint)
        names.append(str(each))
    return tuple(names)


def checked_extra_hosts(component: Component, hosts: object) -> Mapping[str, str]:
    """Return the addresses of hosts that are not in the stack, by their names."""
    given = checked_mapping(component, "extra_hosts", hosts)
    for name, address in given.items():
        if not isinstance(name, str) or not _HOST_NAME.fullmatch(name):
            raise component.wrong("extra_hosts", f"{name!r} is not the name of a host")
        if address != HOST_GATEWAY and not _is_address(address):
            problem = f"{address!r} is neither an IP address nor {HOST_GATEWAY!r}, which is this machine"
            raise component.wrong(f"extra_hosts/{name}", problem)
    return MappingProxyType({str(name): str(address) for name, address in given.items()})


def checked_hostname(component: Component, value: object) -> str:
    """Return the name that a container has for itself, and for those that reach it."""
    if not isinstance(value, str) or not _HOST_NAME.fullmatch(value) or len(value) > _LONGEST_HOST_NAME:
        raise component.wrong("hostname", f"{value!r} is not the name of a host (like 'mq.example.com')")
    return value


def _is_address(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(ip_address(value))
    except ValueError:
        return False
