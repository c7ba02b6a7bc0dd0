"""Find out what app a folder has: of which kind, what serves it, and which file lists what it needs."""

from __future__ import annotations

import json
import re
from pathlib import Path

from stack.frozen import dataclass
from stack.scaffolding.templates import TEMPLATES, Kind

_MADE = {"flask": re.compile(r"^(\w+)\s*=\s*Flask\(", re.M), "fastapi": re.compile(r"^(\w+)\s*=\s*FastAPI\(", re.M)}
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
    for kind in ("flask", "fastapi"):
        for path in sorted([*folder.glob("*.py"), *folder.glob("*/*.py")]):
            if path.parts[len(folder.parts)].startswith((".", "test")):
                continue
            if (found := _MADE[kind].search(_text(path))) is not None:
                module = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
                return Found(kind, f"{module}:{found[1]}", manifest)
    if manifest == "package.json":
        return Found("node", _main(folder / manifest), manifest)
    return Found(None, None, manifest)


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
