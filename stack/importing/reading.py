"""Read a Compose project with Compose's own parser. What it refuses is refused, in its words."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stack.dotenv import Malformed, parse
from stack.errors import ExitCode, StackError, UsageError
from stack.importing.interpolation import filled
from stack.importing.interpolation import parse as template
from stack.importing.project import Project

_AS_WRITTEN = ("--no-interpolate", "--no-consistency", "--no-env-resolution", "--format", "json")
_LIMIT = 60.0
_SMALL = 64 * 1024
_TOO_OLD = re.compile(r"unknown (?:flag|shorthand flag|docker command)|is not a docker command", re.IGNORECASE)
_WARNING = re.compile(r'^time="[^"]*" level=warning .*\n?', re.MULTILINE)
# Those of Compose itself would choose other files, another folder or another name.
_OF_COMPOSE = "COMPOSE_"
# What holds texts by names that the user chose: there an empty one is a value.
_OF_TEXTS = ("environment", "labels", "args")
_PROFILES = "COMPOSE_PROFILES"
_HINT = "correct it, until `docker compose config --quiet` has nothing to say, and run this again"


def read_project(files: Sequence[Path], base: Path) -> Project:
    """Read the project that these files make together, as `docker compose -f FILE -f FILE` does.

    `base`: the folder of the stack file, from which it calls other files.

    Raises `compose-missing` without a parser, and `compose-refused`.
    """
    folder = Path(os.path.abspath(files[0])).parent
    given = read_variables(folder / ".env")
    named = [word for file in files for word in ("-f", os.path.abspath(file))]
    raw = _configuration([*named, "--profile", "*"], folder, None)
    plain = _configuration(
        ["-f", "-", "--project-directory", str(folder), "--profile", "*"],
        folder,
        json.dumps(_filled_in(raw, {"PWD": str(folder), "HOME": str(Path.home()), **given})),
    )
    on = [name.strip() for name in given.get(_PROFILES, "").split(",") if name.strip()]
    variables = {
        path: read_variables(Path(path)) if Path(path).is_file() else None for path in sorted(_variable_files(raw))
    }
    sources = sorted({str(mount.get("source")) for mount in _binds(plain)})
    found = {source: "file" if os.path.isfile(source) else "folder" for source in sources if os.path.exists(source)}
    contents = {source: _content(Path(source)) for source, kind in found.items() if kind == "file"}
    return Project(base, raw, plain, given, on, variables, found, contents)


def read_text(text: str, folder: Path) -> dict[str, Any]:
    """Read a project that is rendered."""
    return _configuration(["-f", "-", "--project-directory", str(folder), "--profile", "*"], folder, text)


def _binds(plain: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for service in plain["services"].values():
        for mount in service.get("volumes") or ():
            if isinstance(mount, Mapping) and mount.get("type") == "bind":
                yield mount


def _content(file: Path) -> str:
    """Return the text of a small file; of any other nothing."""
    try:
        return file.read_text(encoding="utf-8") if file.stat().st_size <= _SMALL else ""
    except (OSError, UnicodeDecodeError):
        return ""


def check_files(files: Sequence[Path]) -> None:
    """Raise `UsageError` for a path that is no file."""
    for file in files:
        _check(file)


def _check(file: Path) -> None:
    if file.is_dir():
        raise UsageError(f"{file} is a folder", f"name the Compose file in it, like {file / 'docker-compose.yml'}")
    if not file.exists():
        raise UsageError(f"there is no file {file}", "name the Compose file: `stackctl init --from docker-compose.yml`")
    if not file.is_file():
        raise UsageError(f"{file} is a pipe or a device", "name a Compose file")


def read_variables(file: Path) -> Mapping[str, str]:
    """Read a file of variables; of one that is not there, none."""
    try:
        found = parse(file.read_text(encoding="utf-8"), {})
    except FileNotFoundError:
        return {}
    except Malformed as error:
        problem = f"{file} line {error.line} {error.problem}"
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{file} can't be read: {error}"
    else:
        return {name: each.value for name, each in found.items()}
    raise _refused(problem, "correct the file, and run this again")


def _configuration(words: Sequence[str], folder: Path, text: str | None) -> dict[str, Any]:
    problem = "there is no Docker Compose on this machine to read the file with"
    for command in parsers():
        done = _run([*command, *words, "config", *_AS_WRITTEN], folder, text)
        said = _WARNING.sub("", done.stderr).strip()
        if done.returncode == 0:
            return _read(command, done.stdout)
        if not _TOO_OLD.search(said):
            raise _refused(f"Docker Compose refuses it: {said or f'it ended with {done.returncode}'}", _HINT)
        problem = f"{' '.join(command)} can't read a project as it is written: {said.splitlines()[0]}"
    raise _missing(problem)


def _run(command: Sequence[str], folder: Path, text: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OF_COMPOSE)}
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, cwd=folder, env=environment, timeout=_LIMIT
        )
    except subprocess.TimeoutExpired:
        raise _refused(f"it is still read after {_LIMIT:g} s", "name a smaller Compose file") from None


def _read(command: Sequence[str], text: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except ValueError:
        raise _missing(f"{' '.join(command)} wrote no JSON") from None
    if not isinstance(read, dict) or not read.get("services"):
        raise _refused("it declares no service", "name the Compose file that does")
    return read


def parsers() -> list[list[str]]:
    """Return the commands of Compose on this machine: the plugin of Docker, and what the wheel has."""
    docker = shutil.which("docker")
    own = shutil.which("docker-compose", path=sysconfig.get_path("scripts"))
    return [*([[docker, "compose"]] if docker else []), *([[own]] if own else [])]


def _missing(problem: str) -> StackError:
    return StackError("compose-missing", problem, "install its parser: pip install 'stackctl[import]'")


def _refused(problem: str, hint: str) -> StackError:
    error = StackError("compose-refused", problem, hint)
    error.exit_code = ExitCode.USAGE
    return error


def _variable_files(raw: Mapping[str, Any]) -> Iterator[str]:
    for service in raw["services"].values():
        for each in service.get("env_file") or ():
            yield each["path"] if isinstance(each, Mapping) else each


def _filled_in(raw: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Return the model with the values of its variables, for Compose to bring its short forms into the long ones.

    The files of variables are left out, because it reads them, and they need not be there.
    """
    services = {
        name: {key: value for key, value in service.items() if key != "env_file"}
        for name, service in raw["services"].items()
    }
    whole = {key: value for key, value in raw.items() if not key.startswith("x-")} | {"services": services}
    return dict(_fill(whole, given))


def _fill(value: Any, given: Mapping[str, str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        if key == "volumes" and value.get("type") == "volume" and _is_open(value):
            return _short_mount(value, given)
        filled_in = {name: _fill(each, given, name) for name, each in value.items()}
        empty = [name for name, each in filled_in.items() if each == "" and value[name] != "" and key not in _OF_TEXTS]
        empty += ["args"] if filled_in.get("args", "") is None else []
        return {name: each for name, each in filled_in.items() if name not in empty}
    if isinstance(value, list):
        return [_fill(each, given, key) for each in value]
    if not isinstance(value, str) or "$" not in value:
        return value
    text = filled(template(value), given)
    return _whole_port(text) if key == "ports" else text


def _is_open(mount: Mapping[str, Any]) -> bool:
    """Say whether it is a variable that decides what is mounted: Compose could not tell a folder from a volume."""
    return any("$" in str(mount.get(name, "")) for name in ("source", "target"))


def _short_mount(mount: Mapping[str, Any], given: Mapping[str, str]) -> str:
    words = [filled(template(str(mount.get(name) or "")), given) for name in ("source", "target")]
    return ":".join([*filter(None, words), *(["ro"] if mount.get("read_only") else [])])


def _whole_port(text: str) -> str:
    """Give a port whose number on this machine has no value the number that it has in the container."""
    front, _, target = text.rpartition(":")
    if front and not target:
        return f"{front}:{front.rpartition(':')[2]}"
    if target and text.startswith(":"):
        return f"{target.partition('/')[0]}:{target}"
    return text
