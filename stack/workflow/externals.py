"""Look at the servers that a stack uses and does not run."""

from __future__ import annotations

from collections.abc import Iterable

from stack.errors import StackError
from stack.external import External
from stack.results.instances import ExternalStatus
from stack.urls import address_of, kind_of, part_of
from stack.verdict.externals import problems_of
from stack.workflow.opened import Opened
from stack.workflow.part import EVERYTHING, Part

# Where Docker's default network has this machine.
_BRIDGE = "172.17.0.1"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# The seconds in which a server far away answers, and those that a look may take.
_PATIENT, _QUICK = 10.0, 3.0


def external_lines(opened: Opened) -> dict[str, str]:
    """Say, for people, what each of them is and where: never with a password."""
    return {each.name: f"external, {_what(opened, each)}" for each in opened.instance.stack.externals}


def external_statuses(opened: Opened) -> dict[str, ExternalStatus]:
    """Ask each of them, from this machine."""
    problems = _problems(opened, _QUICK, opened.instance.stack.externals)
    return {each.name: _status(opened, each, problems.get(each.name)) for each in opened.instance.stack.externals}


def check_externals(opened: Opened, part: Part = EVERYTHING) -> None:
    """Raise `external-unusable` for the first that does not accept its URL, and `parameter-invalid`.

    Those that a part does not use are not asked.

    The latter is for one that containers would look for in themselves.
    """
    stack = opened.instance.stack
    used = {each for name in part.of(stack.names) for each in stack[name].externals}
    externals = [each for each in stack.externals if each in used or not part.names]
    for external in externals:
        name, given = external.url.name, opened.instance.parameters[external.url.name]
        host = part_of(given.value, "host")
        if opened.engine.traits.target == "container" and host in _LOOPBACK:
            raise StackError(
                "parameter-invalid",
                f"{name} (from {given.origin}) names {host}, which in a container is the container itself",
                f"name this machine as containers reach it ({_BRIDGE} on Linux), or use `--engine embedded`",
            )
    problems = _problems(opened, _PATIENT, externals)
    for external in externals:
        if problem := problems[external.name]:
            name, given = external.url.name, opened.instance.parameters[external.url.name]
            raise StackError(
                "external-unusable",
                f"{external.name}, {_what(opened, external)}, can't be used: {problem}",
                f"see whether it runs and accepts this machine, or correct {name} ({given.origin})",
            )


def _problems(opened: Opened, seconds: float, externals: Iterable[External]) -> dict[str, str | None]:
    """Return what is wrong with each of them whose URL has a value, or None."""
    given = opened.instance.parameters
    urls = {each.name: given[each.url.name].value for each in externals if each.url.name in given}
    return problems_of(urls, seconds)


def _status(opened: Opened, external: External, problem: str | None) -> ExternalStatus:
    given = opened.instance.parameters.get(external.url.name)
    if given is None:
        return ExternalStatus(None, None, f"{external.url.name} has no value")
    return ExternalStatus(kind_of(given.value), address_of(given.value), problem)


def _what(opened: Opened, external: External) -> str:
    given = opened.instance.parameters.get(external.url.name)
    if given is None:
        return f"at {external.url.name}, which has no value"
    return f"{kind_of(given.value)} at {address_of(given.value)}"
