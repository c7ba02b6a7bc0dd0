"""`stackctl doctor --bundle`: what a report of a problem needs, in one file, without anything that is secret."""

from __future__ import annotations

import getpass
import io
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stack.commands.doctor import doctor, text_of
from stack.commands.status import status
from stack.commands.version import version
from stack.encoding import encoded, extended
from stack.engines import ENGINES
from stack.engines.base import Engine
from stack.errors import StackError, UsageError
from stack.fields import is_secret_name
from stack.findings import Finding
from stack.model import Stack
from stack.redaction import HIDDEN, Redactor
from stack.references import Text
from stack.report import Report, as_json
from stack.results.machine import BundledDoctorResult
from stack.settings import Settings
from stack.style import Style
from stack.workflow.choosing import default_unseen
from stack.workflow.identities import secret_parameters, secrets_of_files
from stack.workflow.opened import Opened
from stack.workflow.opening import look

_LOG_LINES = 300
# Shorter parts of a value are in too many words.
_SHORT = 3


def bundle(settings: Settings, file: Path) -> Report[BundledDoctorResult]:
    """Run `doctor` and write what it found and what it looked at. Raises `UsageError` where there is a file already."""
    if file.exists() or file.is_symlink():
        raise UsageError(f"--bundle: {file} exists already", "name another file; this one was not touched")
    found = doctor(settings)
    opened = _opened(settings)
    redactor = Redactor(tuple(_secrets(opened)) if opened else (), _user(), str(Path.home()))
    _write(file, dict(_parts(settings, opened, found.data.checks, redactor)))

    def text(style: Style) -> str:
        return f"{found.shown(style)}\n\nwritten to {file}, without secrets: read it before you send it"

    data = extended(BundledDoctorResult, found.data, bundle=file)
    return Report.drawn("doctor", text, data, exit_code=found.exit_code)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # One without a name has none to hide.
        return ""


def _opened(settings: Settings) -> Opened | None:
    try:
        return look(settings, choose=default_unseen)
    except StackError:
        # `doctor` has a line about it.
        return None


def _secrets(opened: Opened) -> Iterator[str]:
    """Every secret file of the instance, and the values of variables whose names say that they are secret."""
    folder = opened.instance.state / "secrets"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        yield path.read_text(encoding="utf-8", errors="replace")
    given = opened.instance.parameters
    yield from (each.value(given) for each in secret_parameters(opened.instance.stack) if each.parameter.name in given)
    yield from (each.text for each in secrets_of_files(opened.instance.stack) if len(each.text) > _SHORT)
    for name in opened.instance.stack.names:
        for variable, value in opened.instance.stack.workload(name, "container").environment.items():
            if is_secret_name(variable):
                parts = value.parts if isinstance(value, Text) else (value,)
                yield from (part for part in parts if isinstance(part, str) and (part is value or len(part) > _SHORT))


def _parts(
    settings: Settings, opened: Opened | None, findings: Sequence[Finding], redactor: Redactor
) -> Iterator[tuple[str, str]]:
    """The files of the bundle, by name. What can't be had says why."""
    yield "doctor.txt", redactor.text(text_of(findings))
    yield "doctor.json", _json(redactor, {"checks": findings})
    yield "versions.json", _json(redactor, version().data)
    yield "status.json", _told(lambda: _json(redactor, status(settings).data))
    if opened is None:
        return
    yield "configuration.txt", redactor.text(_told(lambda: _without_secrets(opened).render()))
    yield "record.json", _told(lambda: _json(redactor, opened.record))
    for name in _logged(opened):
        yield f"logs/{name}.txt", redactor.text("\n".join(opened.engine.log_lines(name, _LOG_LINES)))


def _logged(opened: Opened) -> tuple[str, ...]:
    """The components whose logs can be read. Where none can, `doctor` says why."""
    try:
        opened.engine.check()
        return tuple(opened.engine.observe().components)
    except StackError:
        return ()


def _without_secrets(opened: Opened) -> Engine:
    """The engine of the same instance with no secret in its declaration: a configuration quotes values in many ways."""
    instance = opened.instance
    components = [component.without_secrets(HIDDEN) for component in instance.stack]
    shown = replace(instance, stack=Stack(instance.stack.name, components, isolated=instance.stack.isolated))
    return ENGINES[opened.engine.name](shown, system_binaries=opened.record.system_binaries)


def _json(redactor: Redactor, data: object) -> str:
    """Redacted before it is written, so that it stays JSON."""
    return as_json(redactor.data(encoded(data)), indent=2)


def _told(read: Callable[[], str]) -> str:
    try:
        return read()
    except StackError as error:
        return f"not to be had: {error.code}: {error.message}"


def _write(file: Path, parts: Mapping[str, str]) -> None:
    """Whole, for its owner alone, and never over another file."""
    content = io.BytesIO()
    # A zip names its files in UTF-8.
    folder = file.stem.encode("utf-8", "replace").decode()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(f"{folder}/{name}", (text.rstrip("\n") + "\n").encode("utf-8", "backslashreplace"))
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            target.write(content.getvalue())
    except OSError as error:
        raise StackError(
            "file-unusable", f"{file} can't be written: {error.strerror}", "name a file in a folder that can be"
        ) from error
