"""Read the files of variables that components name, and give the variables to these components."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stack.dotenv import Assignment
from stack.errors import DeclarationError, StackError
from stack.model import Stack
from stack.references import FileSecret, SecretValue, Value
from stack.settings import Settings
from stack.workflow.parameters import FILE, invalid, read_file


def with_env_files(settings: Settings, stack: Stack) -> tuple[Stack, StackError | None]:
    """Return the stack with the variables of the files that its components name, and what is wrong with a file.

    Such a file is left out. A stack that names none is returned as it is, and nothing is read.
    """
    users: dict[str, str] = {}
    for component in stack:
        for file in component.variable_files:
            users.setdefault(file, component.name)
    if not users:
        return stack, None
    try:
        known = {name: each.value for name, each in read_file(settings.file.parent / FILE, settings.variables).items()}
    except StackError as error:
        return stack, error
    read: dict[str, Mapping[str, Value]] = {}
    problem: StackError | None = None
    for file, user in users.items():
        try:
            read[file] = _secrets(file, _read(settings.file.parent / file, {**known, **settings.variables}))
        except StackError as error:
            told = DeclarationError(f"{stack.name}/{user}/env_files/{file}", error.message, error.hint)
            problem = problem or (told if error.code == "file-missing" else error)
    given: dict[str, dict[str, Value]] = {}
    for each in stack:
        for file in each.variable_files:
            given.setdefault(each.name, {}).update(read.get(file, {}))
    return stack.with_variables(given), problem


def _read(path: Path, environment: Mapping[str, str]) -> Mapping[str, Assignment]:
    if not path.is_file():
        problem = "is not a file" if path.exists() else "does not exist"
        raise StackError("file-missing", f"{path} {problem}", "write it beside the stack file, or leave it out here")
    variables = read_file(path, environment)
    for name, each in variables.items():
        if "\0" in each.value:
            raise invalid(f"{path}:{each.line}: {name} holds a NUL byte, which no variable can", "correct this line")
    return variables


def _secrets(file: str, variables: Mapping[str, Assignment]) -> dict[str, Value]:
    """Return variables as secrets: nothing says which of them are."""
    return {
        name: SecretValue(FileSecret("", name, file=file, line=each.line, text=each.value))
        for name, each in variables.items()
    }
