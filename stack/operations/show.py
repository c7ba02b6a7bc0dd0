"""`stackctl render`, `env` and `version`: what can be said without starting anything."""

from __future__ import annotations

import platform
import shlex

from stack.operations.opening import open_instance
from stack.report import Report
from stack.settings import Settings
from stack.version import __version__


def render(settings: Settings) -> Report:
    """The configuration that `up` would hand to the engine."""
    opened = open_instance(settings)
    text = opened.engine.render()
    return Report("render", text.rstrip("\n"), {"engine": opened.engine.name, "configuration": text})


def env(settings: Settings) -> Report:
    """Variables for a shell, with which plain `docker compose` works on the instance."""
    variables = dict(open_instance(settings).engine.environment())
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return Report("env", "\n".join(lines), variables)


def version() -> Report:
    data = {"stackctl": __version__, "python": platform.python_version(), "platform": platform.platform()}
    return Report("version", f"stackctl {__version__} (Python {data['python']}, {data['platform']})", data)
