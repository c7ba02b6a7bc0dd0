"""Keep the configuration of supervisord, the note of what it has applied, and the last known good of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from stack.engines.embedded.home_files import HomeFiles
from stack.engines.embedded.layout import Home
from stack.engines.embedded.render import sections
from stack.fields import Fields, digest, fingerprint
from stack.files import update_text


class Configuration:
    """The configuration of one instance. The instance exists as long as this does."""

    def __init__(self, home: Home, files: HomeFiles) -> None:
        self._home = home
        self._files = files

    def sections(self) -> Mapping[str, str]:
        """Read the part of each component; empty if there is no configuration."""
        try:
            return sections(self._home.configuration.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    def components(self) -> list[str]:
        """Return the names of the configured components."""
        return list(self.sections())

    def applied(self) -> Mapping[str, Mapping[str, str]]:
        """Read what was applied to each component. A missing or corrupt file means nothing has been applied."""
        try:
            return dict(json.loads(self._home.applied.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return {}

    def note_applied(self, text: str, declared: Mapping[str, Fields]) -> None:
        """Note that supervisord has applied a configuration, and the declaration that it was made from.

        Written last: if we crash earlier, the next `up` sees pending work.
        """
        parts = sections(text)
        applied = {
            name: {"declaration": fingerprint(values), "section": digest(parts[name])}
            for name, values in declared.items()
        }
        self._files.write(self._home.applied, json.dumps(applied) + "\n")

    def save_good(self) -> None:
        """Save the present configuration as the last known good."""
        with self._files.changing():
            for path in (self._home.configuration, self._home.applied):
                update_text(_good(path), path.read_text(encoding="utf-8"))

    def has_good(self) -> bool:
        return _good(self._home.configuration).exists()

    def good_text(self) -> str:
        return _good(self._home.configuration).read_text(encoding="utf-8")

    def restore_good_note(self) -> None:
        """Note that the last known good has been applied."""
        with self._files.changing():
            update_text(self._home.applied, _good(self._home.applied).read_text(encoding="utf-8"))


def _good(path: Path) -> Path:
    """Return the path of the last known good version of a file."""
    return path.with_name(f"good-{path.name}")
