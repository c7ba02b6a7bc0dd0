"""What the site needs beyond docs/: pages that GitHub wants in the folder above, and no links to other files there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# By their names in the navigation.
ABOVE = {"contributing.md": "CONTRIBUTING.md", "security.md": "SECURITY.md", "changelog.md": "CHANGELOG.md"}
_ABOVE = {f"../{name}": page for page, name in ABOVE.items()}
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def on_files(files: Files, config: Any, **_: object) -> Files:
    for page, name in ABOVE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Point links at the pages of the site; a link to any other file of the repository becomes plain text."""
    above = page.file.src_uri in ABOVE

    def point(link: re.Match[str]) -> str:
        text, target = link.groups()
        if above and "://" not in target:
            target = target.removeprefix("docs/") if target.startswith("docs/") else f"../{target}"
        target = _ABOVE.get(target, target)
        return text if target.startswith("../") else f"[{text}]({target})"

    return _LINK.sub(point, markdown)
