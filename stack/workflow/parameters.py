"""Find a value for each parameter of a stack, keep what was given once, and say all at once what is missing."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from pathlib import Path

from stack.dotenv import Assignment, Malformed, parse
from stack.errors import ExitCode, StackError, UsageError
from stack.frozen import dataclass
from stack.model import Stack
from stack.parameters import Given, Needed, Parameter, problem_of
from stack.references import ParameterSecret
from stack.settings import Settings
from stack.state import State
from stack.urls import problem_of_url

COMMAND_LINE, TYPED, GENERATED = "the command line", "typed in", "generated"
KEPT, DEFAULT, ENVIRONMENT = "kept from before", "the default", "the environment"
FILE = ".env"
# What was given in one of these ways is given once, and has to be kept.
_GIVEN_ONCE = (COMMAND_LINE, TYPED, GENERATED)
_KEPT_AS = "kept-"

Ask = Callable[[Parameter], str | None]
"""Asks for a value on the terminal; None if there is none."""


@dataclass(frozen=True)
class Found:
    """The parameters that have a value, and what is wrong with what was given."""

    given: Mapping[str, Given] = field(default_factory=dict)
    problem: StackError | None = None


def find_parameters(settings: Settings, stack: Stack, state: State, kept: Mapping[str, str]) -> Found:
    """Look for a value of each parameter; `kept` has those of the record. Reads nothing for a stack without any.

    One that only components use which are off may be given on the command line, and has no other value.

    Raises `UsageError` for what is wrong on the command line.
    """
    _check_chosen(settings, stack.whole)
    needed = {
        name: each.parameter
        for name, each in stack.whole.parameters.items()
        if name in stack.parameters or name in settings.chosen
    }
    if not needed:
        return Found()
    try:
        file = read_file(settings.file.parent / FILE, settings.variables)
    except StackError as error:
        return Found(problem=error)
    given: dict[str, Given] = {}
    for name, parameter in needed.items():
        found = next(_sources(parameter, settings, file, state, kept), None)
        if found is None:
            continue
        if wrong := _wrong(stack, name, found):
            return Found(given, wrong)
        given[name] = found
    return Found(given)


def _wrong(stack: Stack, name: str, found: Given) -> StackError | None:
    """Return the error of a value that its parameter can't have."""
    is_url = any(external.url.name == name for external in stack.whole.externals)
    problem = problem_of(found.value) or (problem_of_url(found.value) if is_url else None)
    return invalid(f"{name} (from {found.origin}) {problem}", f"correct {name}") if problem else None


def _sources(
    parameter: Parameter,
    settings: Settings,
    file: Mapping[str, Assignment],
    state: State,
    kept: Mapping[str, str],
) -> Iterator[Given]:
    """Yield the values that a parameter has, the first of which counts. A secret that is empty is not given."""
    name = parameter.name
    if name in settings.chosen:
        yield Given(settings.chosen[name].value, COMMAND_LINE)
    value = settings.variables.get(name)
    if value is not None and (value or not parameter.secret):
        yield Given(value, ENVIRONMENT)
    if name in file and (file[name].value or not parameter.secret):
        yield Given(file[name].value, f"{FILE} line {file[name].line}")
    if parameter.secret and state.has_secret(_KEPT_AS + name):
        yield Given(state.secret(_KEPT_AS + name).reveal(), GENERATED if parameter.generate else KEPT)
    if not parameter.secret and name in kept:
        yield Given(kept[name], KEPT)
    if parameter.default is not None:
        yield Given(str(parameter.default), DEFAULT)


def _check_chosen(settings: Settings, stack: Stack) -> None:
    for name, chosen in settings.chosen.items():
        if name not in stack.parameters:
            listed = ", ".join(stack.parameters) or "none"
            raise UsageError(f"--set {name}: {stack.name} has no such parameter", f"it has: {listed}")
        if stack.parameters[name].parameter.secret and chosen.visible:
            raise UsageError(
                f"--set {name}: is a secret, and every user of this machine sees a command line",
                f"write --set {name}=@FILE, or --set {name}=@- to read standard input",
            )
        if problem := problem_of(chosen.value):
            raise UsageError(f"--set {name}: its value {problem}", "give it another value")


def read_file(path: Path, environment: Mapping[str, str]) -> Mapping[str, Assignment]:
    """Read the variables of a file; of one that is not there, none. Raises `parameter-invalid`."""
    try:
        return parse(path.read_text(encoding="utf-8"), environment)
    except FileNotFoundError:
        return {}
    except Malformed as error:
        raise invalid(
            f"{path}:{error.line}: {error.problem}", "correct this line, or put the value in quotes"
        ) from None
    except UnicodeDecodeError:
        raise invalid(f"{path}: is not UTF-8", "save it as UTF-8") from None
    except OSError as error:
        raise invalid(f"{path}: {error.strerror}", "check its permissions") from error


def invalid(message: str, hint: str) -> StackError:
    error = StackError("parameter-invalid", message, hint)
    error.exit_code = ExitCode.USAGE
    return error


def settled(found: Found, stack: Stack, file: Path, ask: Ask | None = None) -> dict[str, Given]:
    """Return a value for each parameter: what has none is generated, or asked for.

    Raises `parameter-invalid`, and `parameter-missing`, which names all that have none.
    """
    if found.problem is not None:
        raise found.problem
    given = dict(found.given)
    missing = []
    for name, needed in stack.parameters.items():
        if name in given:
            continue
        if needed.parameter.generate:
            given[name] = generated()
        elif ask is not None and (answer := ask(needed.parameter)) is not None:
            given[name] = Given(answer, TYPED)
            if wrong := _wrong(stack, name, given[name]):
                raise wrong
        else:
            missing.append(needed)
    if missing:
        raise _missing(missing, file)
    return given


def generated() -> Given:
    return Given(secrets.token_urlsafe(32), GENERATED)


def _missing(missing: list[Needed], file: Path) -> StackError:
    def told(needed: Needed) -> str:
        doc = f": {needed.parameter.doc}" if needed.parameter.doc else ""
        return f"{needed.parameter.name} (for {' and '.join(needed.users)}{doc})"

    lines = " and ".join(f"{needed.parameter.name}=VALUE" for needed in missing)
    error = StackError(
        "parameter-missing",
        f"{', '.join(map(told, missing))} {'has' if len(missing) == 1 else 'have'} no value",
        f"add to {file.parent / FILE}: {lines}",
    )
    error.exit_code = ExitCode.USAGE
    return error


def kept_values(stack: Stack, given: Mapping[str, Given], before: Mapping[str, str]) -> dict[str, str]:
    """Return the values that the record keeps: those given once, that are no secrets and still declared.

    Those of components that are off count as well.
    """
    declared = {name: each.parameter for name, each in stack.whole.parameters.items() if not each.parameter.secret}
    once = {name: given[name].value for name in declared if name in given and given[name].origin in _GIVEN_ONCE}
    return {name: value for name, value in before.items() if name in declared} | once


def keep_secrets(state: State, stack: Stack, given: Mapping[str, Given]) -> None:
    """Write the secrets that were given once, also for components that are off, and those that are read from files."""
    for name, needed in stack.whole.parameters.items():
        if needed.parameter.secret and name in given and given[name].origin in _GIVEN_ONCE:
            state.keep_secret(_KEPT_AS + name, given[name].value, mounted=False)
    read = {secret for name in stack.names for secret in stack.workload(name, "container").secrets}
    for secret in read:
        if isinstance(secret, ParameterSecret) and secret.parameter.name in given:
            state.keep_secret(secret.id, secret.value(given), mounted=True)


def inherit_secrets(state: State, parent: State, stack: Stack) -> None:
    """Write the secrets that another instance was given once, or generated: its data may be encrypted with them."""
    for name, needed in stack.whole.parameters.items():
        if needed.parameter.secret and parent.has_secret(_KEPT_AS + name):
            state.keep_secret(_KEPT_AS + name, parent.secret(_KEPT_AS + name).reveal(), mounted=False)
