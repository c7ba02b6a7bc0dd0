"""`stackctl init` without a Compose file: begin with a template, with the app that is there, or with a Procfile."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import cast, get_args

from stack.errors import StackError, UsageError
from stack.files import NewFile
from stack.importing.names import component_name
from stack.importing.reading import compose_file
from stack.report import Report
from stack.results.imported import NewProject
from stack.scaffolding.looking import Found, look_into
from stack.scaffolding.procfile import read_procfile
from stack.scaffolding.target import check_target, next_commands
from stack.scaffolding.templates import CLIENTS, TEMPLATES, Data, Kind, Template
from stack.scaffolding.writing import procfile_text, stack_text
from stack.settings import STACK_FILE
from stack.style import GREEN, Style

Ask = Callable[[str, str, tuple[str, ...]], str]
"""Asks a question: what is asked, the answer to an empty line, and the answers that there are (any, if empty)."""

_KINDS: tuple[Kind, ...] = get_args(Kind)
_DATA: tuple[Data, ...] = get_args(Data)
_IGNORED = (b".env", b".stackctl/")


def init_project(
    folder: Path,
    template: Kind | None = None,
    name: str | None = None,
    data: Data | None = None,
    output: Path | None = None,
    force: bool = False,
    ask: Ask | None = None,
) -> Report[NewProject]:
    """Write a stack file for the app in a folder, or with a first app if there is none.

    What is not given is asked for. Raises `UsageError` if nothing can be asked, for a stack file that exists, and
    without a template for a file that says what the app consists of.
    """
    target = _target(folder, output, force)
    if template is None:
        _check_unwritten(target.parent, folder)
    found = look_into(target.parent)
    kind = template or _kind(found, ask)
    name = name or _ask(ask, "Name", component_name(target.parent.name, "app"), ())
    data = data or cast(Data, _ask(ask, "Data", "postgres", _DATA))
    made = TEMPLATES[kind]
    module = found.module if found.kind == kind and found.module else made.module
    text = stack_text(component_name(name, "app"), made, module, data)
    # A first app for a folder with none; its requirements are among its files.
    files = _first_app(made, data) if found.empty else {}
    notes = [] if found.empty else _notes(made, data, target.parent, found)
    files |= _missing_dockerfile(target.parent, made, module, found)
    return _write(target, text, files, [*notes, *_missing_manifest(target.parent, made, found, files)], folder)


def init_procfile(
    folder: Path, procfile: Path, output: Path | None = None, force: bool = False, data: Data | None = None
) -> Report[NewProject]:
    """Write a stack file for the programs of a Procfile: `web` is the app, `release` a job before it, all else workers.

    Raises `file-unusable` for a Procfile that can't be read.
    """
    try:
        programs = read_procfile((folder / procfile).read_text(encoding="utf-8"), str(procfile))
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else f"it is no text: {error}"
        raise StackError("file-unusable", f"{procfile}: {problem}", "name a Procfile that can be read") from error
    target = _target((folder / procfile).parent, output, force)
    found = look_into(target.parent)
    made = TEMPLATES[found.kind or "flask"]
    name = component_name(target.parent.name, "app")
    text = procfile_text(name, programs, made.port, data or "none")
    files = _missing_dockerfile(target.parent, made, found.module or made.module, found)
    notes = [] if data else ["no database and cache are declared: a Procfile names none; `--data` does"]
    notes += _missing_manifest(target.parent, made, found, files)
    return _write(target, text, files, notes, folder)


def _target(folder: Path, output: Path | None, force: bool) -> Path:
    target = Path(os.path.abspath(folder / (output or STACK_FILE)))
    check_target(target, force)
    return target


def _check_unwritten(project: Path, folder: Path) -> None:
    """Raise `UsageError` if a file of the project says already what it consists of."""
    procfile = project / "Procfile"
    found = compose_file(project) or (procfile if procfile.is_file() else None)
    if found is not None:
        file, kinds = os.path.relpath(found, folder), "|".join(_KINDS)
        raise UsageError(
            f"{file} says what the app consists of",
            f"`stackctl init --from {shlex.quote(file)}` converts it; `--template {kinds}` begins without it",
        )


def _missing_dockerfile(folder: Path, template: Template, module: str, found: Found) -> dict[str, str]:
    """Return the Dockerfile of an app that has none."""
    if (folder / "Dockerfile").exists():
        return {}
    return {"Dockerfile": template.dockerfile(module, _manifest(template, found))}


def _manifest(template: Template, found: Found) -> str:
    return found.manifest if found.manifest in template.manifests else template.manifests[0]


def _missing_manifest(folder: Path, template: Template, found: Found, files: Mapping[str, str]) -> list[str]:
    """Say what a Dockerfile that is written installs and that is not there."""
    manifest = _manifest(template, found)
    if "Dockerfile" not in files or manifest in files or (folder / manifest).exists():
        return []
    language = "Python" if template.python else "Node"
    return [f"Dockerfile: it is that of a {language} app, and needs {manifest}, which is not there"]


def _kind(found: Found, ask: Ask | None) -> Kind:
    if found.kind is not None and ask is None:
        return found.kind
    return cast(Kind, _ask(ask, "Kind of app", found.kind or "flask", _KINDS))


def _ask(ask: Ask | None, question: str, default: str, answers: tuple[str, ...]) -> str:
    if ask is not None:
        return ask(question, default, answers)
    if answers == _KINDS:
        raise UsageError(
            "nothing here says which kind of app it is, and there is no terminal to ask on",
            f"--template {'|'.join(_KINDS)}, or --from with a Compose file or a Procfile",
        )
    return default


def _first_app(template: Template, data: Data) -> dict[str, str]:
    clients = "".join(f"{each}\n" for each in CLIENTS[data])
    return {path: text.replace("{clients}", clients) for path, text in template.files.items()}


def _notes(template: Template, data: Data, folder: Path, found: Found) -> list[str]:
    """Name what the app needs and its requirements do not have."""
    if not template.python or found.manifest is None:
        return []
    listed = (folder / found.manifest).read_text(encoding="utf-8", errors="replace").lower()
    missing = [each for each in template.packages if each not in listed]
    return [f"add {', '.join(missing)} to {found.manifest}: the app is started with it"] if missing else []


def _write(target: Path, text: str, files: Mapping[str, str], notes: list[str], folder: Path) -> Report[NewProject]:
    """Write everything or nothing; of `files` those that are not there."""
    written: list[Path] = []
    with ExitStack() as undo:
        try:
            for name, content in files.items():
                made = target.parent / name
                if not made.exists():
                    if not made.parent.exists():
                        made.parent.mkdir(parents=True)
                        undo.callback(made.parent.rmdir)
                    _put(made, content)
                    undo.callback(made.unlink, missing_ok=True)
                    written.append(made)
            written += _ignore(target.parent, undo)
            # The last one: once it is there, all of it is.
            _put(target, text)
        except OSError as error:
            raise StackError("file-unusable", f"{error.filename}: {error.strerror}", "choose another folder") from error
        undo.pop_all()
    commands = next_commands(target, folder)
    data = NewProject(target, tuple(written), tuple(notes), commands)

    def shown(style: Style) -> str:
        mark = style.paint("✓", GREEN)
        lines = [f"{mark} {os.path.relpath(path, folder)}" for path in (target, *written)]
        lines += [style.wrapped(note, "note: ", "  ") for note in notes]
        return "\n".join([*lines, "", "Next:", *(f"  {command}" for command in commands)])

    return Report.drawn("init", shown, data)


def _put(path: Path, text: str) -> None:
    with NewFile(path, 0o644) as new:
        new.stream.write(text.encode())
        new.commit()


def _ignore(folder: Path, undo: ExitStack) -> list[Path]:
    """Keep secrets and state out of version control; return the file if it was changed."""
    path = folder / ".gitignore"
    before = path.read_bytes() if path.exists() else None
    lines = {line.strip().rstrip(b"/") for line in (before or b"").splitlines()}
    missing = [each for each in _IGNORED if each.rstrip(b"/") not in lines]
    if not missing:
        return []
    if before is None:
        undo.callback(path.unlink, missing_ok=True)
    else:
        undo.callback(path.write_bytes, before)
    start = before if not before or before.endswith(b"\n") else before + b"\n"
    path.write_bytes((start or b"") + b"".join(each + b"\n" for each in missing))
    return [path]
