"""`stackctl version`."""

from __future__ import annotations

import platform

from stack.report import Report
from stack.version import __version__


def version() -> Report:
    data = {"stackctl": __version__, "python": platform.python_version(), "platform": platform.platform()}
    return Report("version", f"stackctl {__version__} (Python {data['python']}, {data['platform']})", data)
