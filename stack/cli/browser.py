"""Show a page in the browser of this machine."""

from __future__ import annotations

import os
import sys


def browse(url: str) -> bool:
    """Open a URL, and say whether there is a browser that could: a machine that is reached over SSH has none."""
    # Without a display Python would start a browser for text, in this terminal.
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME")
    if sys.platform.startswith("linux") and not any(map(os.environ.get, displays)):
        return False
    import webbrowser

    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False
