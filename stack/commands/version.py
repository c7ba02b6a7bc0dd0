"""`stackctl version`."""

from __future__ import annotations

import platform

from stack.report import Report
from stack.results.machine import VersionResult
from stack.version import __version__


def version() -> Report[VersionResult]:
    data = VersionResult(__version__, platform.python_version(), platform.platform())
    return Report("version", f"stackctl {__version__} (Python {data.python}, {data.platform})", data)
