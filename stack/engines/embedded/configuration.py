"""Keep the configuration of supervisord, and the note of what it has applied."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from stack.engines.embedded.home_files import HomeFiles
from stack.engines.embedded.layout import Home, component_of
from stack.engines.embedded.render import sections
from stack.fields import Fields, digest, fingerprint


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

    def note_applied(self, text: str, declared: Mapping[str, Fields], only: Collection[str] = ()) -> None:
        """Note that supervisord has applied a configuration, and the declaration that it was made from.

        Written last: if we crash earlier, the next `up` sees pending work. With `only` it has applied these parts.
        """
        applied = dict(self.applied()) if only else {}
        applied |= {
            program: {"declaration": fingerprint(declared[component_of(program)]), "section": digest(section.strip())}
            for program, section in sections(text).items()
            if not only or component_of(program) in only
        }
        self._files.write(self._home.applied, json.dumps(applied) + "\n")
