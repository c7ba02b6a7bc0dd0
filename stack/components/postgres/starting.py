"""Which settings of `ALTER SYSTEM` a server does not take, or does not start with: found out before it holds data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack

from stack.components.postgres.inventory import read_cluster
from stack.components.postgres.properties import identifier, system_setting
from stack.components.postgres.server import Server, conninfo
from stack.components.postgres.transfer import run_sql
from stack.controls import visible
from stack.errors import StackError
from stack.progress import Progress

Beside = Callable[[Sequence[str]], AbstractContextManager[Server]]
"""Runs a server on a new store, with these words for it, for as long as the block."""

_VALUES = "SELECT json_object_agg(name, setting) FROM pg_settings"
_RESET = "ALTER SYSTEM RESET ALL;\n"


def unfit_settings(beside: Beside, settings: Mapping[str, str], progress: Progress) -> dict[str, str]:
    """Give those that this server can't have, each with why. Afterwards none is set.

    They are tried together, and one after the other only if the server does not start with all of them.
    """
    if not settings:
        return {}
    with beside(()) as server:
        progress.step(f"{server.database.name}: trying what ALTER SYSTEM had set")
        first = _values(server)
        unfit = {name: why for name, value in settings.items() if (why := _set(server, name, value))}
    fit = {name: value for name, value in settings.items() if name not in unfit}
    with ExitStack() as stack:
        try:
            server = stack.enter_context(beside(()))
        except StackError:
            server = stack.enter_context(beside(_overridden(fit, first)))
            _run(server, _RESET)
        else:
            _run(server, _RESET)
            return unfit
    return unfit | _each(beside, fit, first)


def _each(beside: Beside, settings: Mapping[str, str], first: Mapping[str, str]) -> dict[str, str]:
    """Those with which the server does not start beside those before them."""
    unfit: dict[str, str] = {}
    tried: str | None = None
    for name in [*settings, None]:
        with ExitStack() as stack:
            try:
                server = stack.enter_context(beside(()))
            except StackError as error:
                if tried is None:
                    raise
                unfit[tried] = _reason(error.output)
                server = stack.enter_context(beside(_overridden([tried], first)))
                _run(server, f"ALTER SYSTEM RESET {identifier(tried)};\n")
            if name is None:
                _run(server, _RESET)
            else:
                _set(server, name, settings[name])
            tried = name
    return unfit


def _overridden(names: Iterable[str], first: Mapping[str, str]) -> list[str]:
    """The words by which a server starts with the values that it had at first, whatever is set."""
    return [word for name in names for word in ("-c", f"{name}={first.get(name, '')}")]


def _values(server: Server) -> dict[str, str]:
    words = ["psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1"]
    answer = server.run([*words, "-d", conninfo("postgres", server.admin), "-c", _VALUES])
    if not answer.ok:
        raise _failed(server, answer.stderr)
    return {str(name): str(value) for name, value in json.loads(answer.stdout).items()}


def _set(server: Server, name: str, value: str) -> str | None:
    complaint = run_sql(server, read_cluster(server).major, "postgres", [system_setting(name, value).encode()])
    return _reason(complaint) if complaint else None


def _run(server: Server, statement: str) -> None:
    if complaint := run_sql(server, read_cluster(server).major, "postgres", [statement.encode()]):
        raise _failed(server, complaint)


def _failed(server: Server, said: str) -> StackError:
    name = server.database.name
    hint = f"mend what it names, and see `stackctl logs {name}`"
    return StackError("restore-failed", f"{name}: what ALTER SYSTEM had set could not be tried", hint, said)


def _reason(said: str) -> str:
    """The first line that says what is wrong, without what stands before it."""
    lines = said.splitlines()
    for mark in ("FATAL:", "ERROR:"):
        for line in lines:
            if mark in line:
                return visible(line.partition(mark)[2].strip())
    return visible(lines[-1].strip()) if lines else "the server did not start"
