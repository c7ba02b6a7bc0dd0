"""Find out what app a folder has: of which kind, what serves it, and which file lists what it needs."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from stack.frozen import dataclass
from stack.scaffolding.templates import TEMPLATES, Kind

_CLASSES: Mapping[str, Kind] = {"Flask": "flask", "FastAPI": "fastapi"}
# What Flask's own documentation calls a function that makes the app; gunicorn calls it.
_FACTORIES = ("create_app", "make_app")
_SETTINGS = re.compile(r"DJANGO_SETTINGS_MODULE[\"'],\s*[\"']([\w.]+)\.settings[\w.]*[\"']")
# A source is no larger, and what else may lie in a folder is not read.
_LARGEST = 200_000


@dataclass(frozen=True)
class Found:
    """What a folder has. `kind`, `module`: None if nothing says so. `manifest`: the file with what it needs."""

    kind: Kind | None
    module: str | None
    manifest: str | None

    @property
    def empty(self) -> bool:
        """Whether there is no app."""
        return self.manifest is None and self.module is None


def look_into(folder: Path) -> Found:
    """Look at the files of a folder, and at the modules of its packages. It runs nothing."""
    manifests = [name for each in TEMPLATES.values() for name in each.manifests]
    manifest = next((name for name in manifests if (folder / name).is_file()), None)
    if found := _SETTINGS.search(_text(folder / "manage.py")):
        return Found("django", f"{found[1]}.wsgi", manifest)
    if (app := _app_in(_modules(folder))) is not None:
        return Found(*app, manifest)
    if manifest == "package.json":
        return Found("node", _main(folder / manifest), manifest)
    return Found(None, None, manifest)


def _modules(folder: Path) -> Mapping[str, ast.Module]:
    """Parse the modules of a folder and of its packages, but for those of tests."""
    found = {}
    for path in sorted([*folder.glob("*.py"), *folder.glob("*/*.py")]):
        inside = path.relative_to(folder)
        if not inside.parts[0].startswith((".", "test")) and (tree := _parsed(_text(path))) is not None:
            found[".".join(inside.with_suffix("").parts).removesuffix(".__init__")] = tree
    return found


def _parsed(source: str) -> ast.Module | None:
    """Parse Python; None for what this version can't read. What it warns of is the author's affair."""
    with warnings.catch_warnings(action="ignore"):
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError):
            return None


def _app_in(modules: Mapping[str, ast.Module]) -> tuple[Kind, str] | None:
    """Return the kind of the app that modules make, and what a server is told to serve."""
    made = [(module, *each) for module, tree in modules.items() for each in _made(tree)]
    for wanted, kind in _CLASSES.items():
        for module, name, called in made:
            if called == wanted:
                return kind, f"{module}:{name}"
    factories = [(module, each) for module, tree in modules.items() for each in _factories(tree)]
    for module, name, called in made:
        if called in {each.name for _, each in factories}:
            return "flask", f"{module}:{name}"
    for module, factory in factories:
        if not _needs_arguments(factory):
            return "flask", f"{module}:{factory.name}()"
    return None


def _made(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Give each name of a module that is the result of a call, with the name of what is called."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and (called := _called(node.value)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((target.id, called) for target in targets if isinstance(target, ast.Name))


def _factories(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in _FACTORIES and "Flask" in map(_called, ast.walk(node)):
            yield node


def _needs_arguments(function: ast.FunctionDef) -> bool:
    given = function.args
    return len(given.defaults) < len([*given.posonlyargs, *given.args]) or None in given.kw_defaults


def _called(node: ast.AST | None) -> str | None:
    """Return the name of what a call calls, without that of its module."""
    if not isinstance(node, ast.Call):
        return None
    return getattr(node.func, "id", None) or getattr(node.func, "attr", None)


def _main(package: Path) -> str | None:
    try:
        main = json.loads(_text(package)).get("main")
    except (ValueError, AttributeError):
        return None
    return main if isinstance(main, str) and main else None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
