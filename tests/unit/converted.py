"""A folder with a Compose project, and what `init` makes of it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from stack.commands.init import init
from stack.declaration import load_stack
from stack.model import Stack
from stack.results.imported import ImportedKey, InitResult


class Project:
    """A folder with a Compose project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, text: str, env: str = "") -> None:
        """Write the Compose file, and the file `.env` if it has variables."""
        (self.folder / "compose.yaml").write_text(textwrap.dedent(text))
        if env:
            (self.folder / ".env").write_text(env)

    def convert(self, text: str, verify: bool = False, env: str = "") -> Converted:
        self.write(text, env)
        report = init(self.folder, [Path("compose.yaml")], None, force=True, verify=verify)
        return Converted(report.data, report.exit_code, report.text)


class Converted:
    """What `init` made of it."""

    def __init__(self, data: InitResult, code: int, text: str) -> None:
        self.data, self.code, self.text = data, code, text
        self.source = data.file.read_text()
        self.stack: Stack = load_stack(data.file)

    def __getitem__(self, name: str) -> Any:
        return self.stack[name]

    def reasons(self, what: str) -> dict[str, str]:
        found: tuple[ImportedKey, ...] = getattr(self.data, what)
        return {f"{each.service} {each.key}": each.reason for each in found}
