"""Write the text of a stack file for a new project. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stack.importing.names import component_names, identifier
from stack.importing.source import quoted
from stack.scaffolding.templates import Data, Template

_URLS: Mapping[str, str] = {"db": "DATABASE_URL", "cache": "REDIS_URL", "queue": "REDIS_URL"}
_STORES: Mapping[Data, tuple[str, ...]] = {
    "postgres": ("db",),
    "redis": ("cache",),
    "both": ("db", "cache"),
    "none": (),
}
_MADE = {
    "db": 'db = Postgres("db")',
    "cache": 'cache = Redis("cache")',
    "queue": 'queue = Redis("queue", durable=True)',
}
_KINDS = {"db": "Postgres", "cache": "Redis", "queue": "Redis"}


def stack_text(name: str, template: Template, module: str, data: Data) -> str:
    """Return the stack file of an app of this kind."""
    command = template.words(module)
    variables = {variable: variable.lower() for variable in template.variables}
    jobs = ["migrate"] if template.migrates and data in ("postgres", "both") else []
    names = {"Stack", "WebApp", *(_KINDS[store] for store in _STORES[data])}
    names |= {"Parameter"} if variables else set()
    names |= {"Job"} if jobs else set()
    names |= {each for each in ("BIND", "PORT") if f"{{{each}}}" in command}
    before = [f'{each} = Parameter("{variable}", secret=True, generate=True)' for variable, each in variables.items()]
    before += [_MADE[store] for store in _STORES[data]]
    fields = [
        '"web"', 'source="."', f"port={template.port}", 'health="/"', f"command={command}", *_uses(_STORES[data]),
        *_environment(_STORES[data], variables),
    ]  # fmt: skip
    job = f'migrate = Job("migrate", of=web, command={_list(template.migrates)}, before=[web])' if jobs else ""
    return _file(name, names, before, [f"web = WebApp(\n{_lines(fields)})", job], ["web", *jobs, *_STORES[data]])


def procfile_text(name: str, programs: Mapping[str, str], port: int, data: Data) -> str:
    """Return the stack file of the programs of a Procfile, by their names. Workers have a queue, which keeps work."""
    works = any(each not in ("web", "release") for each in programs)
    stores = tuple("queue" if each == "cache" and works else each for each in _STORES[data])
    names = {"Stack", *(_KINDS[store] for store in stores)}
    served = "web" if "web" in programs else None
    blocks: list[str] = []
    listed: list[str] = []
    common = [*_uses(stores), *_environment(stores, {})]
    components, variables = component_names(programs, stores), {*_MADE, "web"}
    for each, command in programs.items():
        words = f'command=["sh", "-c", {quoted(command)}]'
        if each == served:
            names.add("WebApp")
            fields = ['"web"', 'source="."', f"port={port}", 'health="/"', words, *common]
            blocks.insert(0, f"web = WebApp(\n{_lines(fields)})")
            listed.insert(0, "web")
            continue
        kind = "Job" if each == "release" else "Worker"
        names.add(kind)
        origin = ["of=web"] if served else ['source="."', *common]
        before = ["before=[web]"] if kind == "Job" and served else []
        variable = identifier(components[each], variables)
        blocks.append(f"{variable} = {kind}(\n{_lines([quoted(components[each]), *origin, words, *before])})")
        listed.append(variable)
    return _file(name, names, [_MADE[store] for store in stores], blocks, [*listed, *stores])


def _file(name: str, names: set[str], before: Sequence[str], blocks: Sequence[str], listed: Sequence[str]) -> str:
    # As isort has them: constants first.
    ordered = sorted(names, key=lambda each: (not each.isupper(), each))
    parts = [
        f'"""The stack of {name}."""',
        f"from stack import {', '.join(ordered)}",
        "\n".join(before),
        *blocks,
        f'stack = Stack("{name}", [{", ".join(listed)}])',
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _uses(stores: Sequence[str]) -> list[str]:
    return [f"uses=[{', '.join(stores)}]"] if stores else []


def _environment(stores: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    entries = [f'"{variable}": {each}' for variable, each in variables.items()]
    entries += [f'"{_URLS[store]}": {store}.url' for store in stores]
    return [f"environment={{{', '.join(entries)}}}"] if entries else []


def _lines(fields: Sequence[str]) -> str:
    return "".join(f"    {field},\n" for field in fields)


def _list(words: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, words))}]"
