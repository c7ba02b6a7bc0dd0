"""`stackctl init`: write a stack file from a Docker Compose project."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stack.declaration import load_stack
from stack.errors import DeclarationError, ExitCode, StackError
from stack.importing.comparing import compare
from stack.importing.convert import Converted, convert
from stack.importing.project import Note, Project
from stack.importing.reading import check_files, read_project, read_text
from stack.observed import Observed
from stack.report import Report, count
from stack.results.imported import ImportedKey, InitResult, Verified
from stack.scaffolding.target import check_target, next_commands, target_exists
from stack.settings import STACK_FILE, STATE_FOLDER, Settings
from stack.style import BOLD, GREEN, YELLOW, Style
from stack.workflow.asked import Switches
from stack.workflow.choosing import default_engine, default_unseen
from stack.workflow.opening import look
from stack.workflow.origins import with_each
from stack.workflow.ports import preview

# Each attempt leaves out one field that a component refuses.
_ATTEMPTS = 200


def init(
    folder: Path, files: Sequence[Path], output: Path | None, force: bool = False, verify: bool = False
) -> Report[InitResult]:
    """Convert the project of these Compose files. It writes all of the stack file or nothing.

    Raises `UsageError` for an output that exists, and what `read_project` raises.
    """
    named = [folder / file for file in files]
    target = Path(os.path.abspath(folder / output)) if output else Path(os.path.abspath(named[0])).parent / STACK_FILE
    check_files(named)
    check_target(target, force)
    project = read_project(named, target.parent)
    with _new_file(target) as draft:
        converted = _loadable(project, named[0].name, draft)
        alone = Settings(file=draft, instance=None, state_root=target.parent / STATE_FOLDER, engine=default_engine())
        verified = _verified(alone, project, converted) if verify else None
        _put(draft, target, force)
    notes = converted.notes
    data = InitResult(target, _keys(notes.kept), _keys(notes.engine), _keys(notes.decided), _keys(notes.lost), verified)
    different = verified is not None and bool(verified.differences)
    code = ExitCode.CHANGES if data.lost or different else ExitCode.DONE
    return Report.drawn("init", lambda style: _text(style, data, converted, folder), data, code)


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """Give an empty file beside the target, which is removed however the block ends."""
    try:
        number, name = tempfile.mkstemp(prefix=".stackctl-", suffix=".py", dir=target.parent)
    except OSError as error:
        raise StackError(
            "file-unusable", f"{target.parent}: {error.strerror}", "choose another folder: --output FILE"
        ) from None
    os.close(number)
    draft = Path(name)
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _put(draft: Path, target: Path, force: bool) -> None:
    """Give the draft its name. Without `force` it replaces nothing, not even what appeared meanwhile."""
    draft.chmod(0o666 & ~_umask())
    try:
        if force:
            draft.replace(target)
        else:
            os.link(draft, target)
    except FileExistsError:
        raise target_exists(target) from None
    except OSError as error:
        raise StackError("file-unusable", f"{target}: {error.strerror}", "choose another file: --output FILE") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _loadable(project: Project, title: str, draft: Path) -> Converted:
    """Convert, and leave out each field that a component refuses: it is lost, with the reason."""
    without: dict[tuple[str, str], str] = {}
    for _ in range(_ATTEMPTS):
        converted = convert(project, title, without)
        draft.write_text(converted.text, encoding="utf-8")
        try:
            load_stack(draft)
        except DeclarationError as error:
            field = _refused_field(converted, error)
            if field is None or field in without:
                raise _unloadable(error) from error
            without[field] = error.problem
        except StackError as error:
            raise _unloadable(error) from error
        else:
            return converted
    raise StackError("conversion-failed", "too much of it has no form here", "report it, with the Compose file")


def _refused_field(converted: Converted, error: DeclarationError) -> tuple[str, str] | None:
    """Return the service and the field that an error names: `shop/web/labels/a` and `web/labels/a`."""
    services = {component: service for service, component in converted.names.items()}
    words = error.path.split("/")
    at = next((position for position, word in enumerate(words[:2]) if word in services), None)
    if at is None or at + 1 >= len(words):
        return None
    return services[words[at]], words[at + 1]


def _unloadable(error: StackError) -> StackError:
    problem = f"the stack file that was made is refused: {error.message}"
    return StackError("conversion-failed", problem, "nothing was written; report it, with the Compose file")


def _verified(settings: Settings, project: Project, converted: Converted) -> Verified:
    """Compare what the stack file renders to with what Compose reads."""
    every = Switches(tuple(load_stack(settings.file).groups))
    try:
        opened = look(settings, choose=default_unseen, groups=every)
    except DeclarationError:
        # Groups that are alternatives can't be on together.
        opened = look(settings, choose=default_unseen)
    opened = with_each(preview(opened, settings, lambda: Observed({})))
    rendered = read_text(opened.engine.render(), project.folder)
    variables = {name: opened.engine.variables(name) for name in opened.instance.stack.names}
    found = compare(project, converted, rendered, variables)
    return Verified(found.compared, _keys(found.differences), _keys(found.by_kind))


def _keys(notes: Sequence[Note]) -> tuple[ImportedKey, ...]:
    return tuple(ImportedKey(note.service, note.key, note.reason) for note in notes)


def _text(style: Style, data: InitResult, converted: Converted, folder: Path) -> str:
    services = len(converted.names)
    lines = [f"{style.paint('✓', GREEN)} {data.file}: {count(services, 'component')} from {count(services, 'service')}"]
    lines += _section(style, f"Kept: {count(len(data.kept) - services, 'key')}", ())
    engine = {each.key: each.reason for each in data.engine}
    lines += _section(style, "The engine does by itself", [f"{key}: {reason}" for key, reason in engine.items()])
    lines += _section(style, "Decided", _by_reason(data.decided))
    lines += _section(style, "Lost", [_line(each) for each in data.lost], YELLOW)
    if data.verified is not None:
        head = f"Verified: {count(data.verified.compared, 'field')} compared"
        lines += _section(
            style,
            f"{head}, {count(len(data.verified.differences), 'difference')}",
            [_line(each) for each in data.verified.differences],
        )
        lines += _section(style, "Other by its kind", [_line(each) for each in data.verified.by_kind])
    lines += ["", "Next:", *(f"  {command}" for command in next_commands(data.file, folder))]
    return "\n".join(lines)


def _section(style: Style, title: str, lines: Sequence[str], colour: str = BOLD) -> list[str]:
    if not lines and ":" not in title:
        return []
    return [style.paint(title, colour), *(style.wrapped(line, "  ", "    ") for line in lines)]


def _by_reason(keys: Sequence[ImportedKey]) -> list[str]:
    """Write what was decided for the same reason as one line."""
    found: dict[str, list[str]] = {}
    for each in keys:
        found.setdefault(each.reason, []).append(f"{each.service} {each.key}".strip())
    return [f"{', '.join(names)}: {reason}" for reason, names in found.items()]


def _line(each: ImportedKey) -> str:
    return f"{each.service + ' ' if each.service else ''}{each.key}: {each.reason}"
