"""Read a Compose project with Compose's own parser. What it refuses is refused, in its words."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stack.dotenv import Malformed, parse
from stack.errors import ExitCode, StackError, UsageError
from stack.importing.filling import Filling
from stack.importing.interpolation import parse as parse_text
from stack.importing.interpolation import variables_in
from stack.importing.project import Notes, Project, texts

_JSON = ("--no-consistency", "--no-env-resolution", "--format", "json")
_AS_WRITTEN = ("--no-interpolate", *_JSON)
_LIMIT = 60.0
_SMALL = 64 * 1024
_TOO_OLD = re.compile(r"unknown (?:flag|shorthand flag|docker command)|is not a docker command", re.IGNORECASE)
_WARNING = re.compile(r'^time="[^"]*" level=warning .*\n?', re.MULTILINE)
# Those of Compose itself would choose other files, another folder or another name.
_OF_COMPOSE = "COMPOSE_"
# What people write for others, to make `.env` from.
_EXAMPLES = (".env.example", ".env.sample", ".env.dist", ".env.template", "env.example", "example.env")
_PROFILES = "COMPOSE_PROFILES"
# In the order in which Compose itself looks for them.
_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
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
    known = given or _of_example(raw, folder)
    plain, notes = _plain(raw, folder, {"PWD": str(folder), "HOME": str(Path.home()), **known})
    on = [name.strip() for name in given.get(_PROFILES, "").split(",") if name.strip()]
    variables = {
        path: read_variables(Path(path)) if Path(path).is_file() else None for path in sorted(_variable_files(raw))
    }
    sources = sorted({str(mount.get("source")) for mount in _binds(plain)})
    found = {source: "file" if os.path.isfile(source) else "folder" for source in sources if os.path.exists(source)}
    contents = {source: _content(Path(source)) for source, kind in found.items() if kind == "file"}
    return Project(base, raw, plain, given, known, on, variables, found, contents, notes)


def _of_example(raw: Mapping[str, Any], folder: Path) -> Mapping[str, str]:
    """Return the values of an example of `.env`, for the variables that have none without it."""
    example = next((folder / each for each in _EXAMPLES if (folder / each).is_file()), None)
    if example is None:
        return {}
    variables = [each for text in texts(raw) for each in variables_in(parse_text(text))]
    with_default = {each.name for each in variables if each.default is not None}
    return {name: value for name, value in read_variables(example).items() if name not in with_default}


def _plain(raw: Mapping[str, Any], folder: Path, given: Mapping[str, str]) -> tuple[dict[str, Any], Notes]:
    """Return the model with values, and notes about what could not be read because a variable has none."""
    filling = Filling(raw, given, careful=False)
    try:
        return _whole(filling.model, folder), filling.notes
    except StackError as error:
        if error.code != "compose-refused":
            raise
    # Compose would not start it without these values, and the rest of it can be read.
    filling = Filling(raw, given, careful=True)
    return _whole(filling.model, folder), filling.notes


def _whole(model: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Let Compose check a model, and bring its short forms into the long ones. No dollar in it begins a variable."""
    text = json.dumps(model).replace("$", "$$")
    return dict(_plain_dollars(_configuration(_of_text(folder), folder, text, _JSON)))


def _plain_dollars(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(_plain_dollars(key)): _plain_dollars(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain_dollars(each) for each in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


def _of_text(folder: Path) -> Sequence[str]:
    return ("-f", "-", "--project-directory", str(folder), "--profile", "*")


def read_text(text: str, folder: Path) -> dict[str, Any]:
    """Read a project that is rendered."""
    return _configuration(_of_text(folder), folder, text)


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


def compose_file(folder: Path) -> Path | None:
    """Return the file of a folder that Compose would take, if it has one."""
    return next((folder / name for name in _NAMES if (folder / name).is_file()), None)


def _check(file: Path) -> None:
    if file.is_dir():
        found = compose_file(file)
        hint = f"`stackctl init --from {shlex.quote(str(found))}`" if found else "name a Compose file; it has none"
        raise UsageError(f"{file} is a folder", hint)
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


def _configuration(
    words: Sequence[str], folder: Path, text: str | None, how: Sequence[str] = _AS_WRITTEN
) -> dict[str, Any]:
    problem = "there is no Docker Compose on this machine to read the file with"
    for command in parsers():
        done = _run([*command, *words, "config", *how], folder, text)
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
