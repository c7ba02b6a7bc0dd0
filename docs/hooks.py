"""What the site needs beyond its pages: links to files outside of it become their names."""

from __future__ import annotations

import re

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Show a link that leaves docs/ as plain text: the file is in the repository and not on the site."""
    return _OUTSIDE.sub(r"\1", markdown)
