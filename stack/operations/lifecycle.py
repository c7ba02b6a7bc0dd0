"""`stackctl stop`, `start` and `down`: none of them touches data."""

from __future__ import annotations

from stack.errors import StackError
from stack.operations.loops import restart_lines, stop_loops
from stack.operations.opening import change, require_up
from stack.operations.planning import remember_wanted
from stack.operations.status import component_data, url_lines
from stack.progress import Progress
from stack.report import Report
from stack.settings import Settings
from stack.style import GREEN, Style
from stack.verdict import await_ready, remember_ready


def stop(settings: Settings, progress: Progress) -> Report:
    """Stop the components and keep them: `start` brings them back as they were."""
    with change(settings, progress) as opened:
        require_up(opened.instance, opened.engine.observe())
        progress.step(f"{opened.instance.name}: stopping")
        # First, so that an interrupted stop is recognised.
        remember_wanted(opened, "stopped")
        opened.engine.stop()
    text = f"{opened.instance.name} is stopped; `stackctl start` starts it again"
    return Report("stop", text, {"instance": opened.instance.name})


def start(settings: Settings, progress: Progress, timeout: float = 120) -> Report:
    """Start the components that `stop` stopped, and judge as `up` does."""
    with change(settings, progress) as opened:
        before = opened.engine.observe()
        require_up(opened.instance, before)
        try:
            with opened.engine.start() as job:
                verdict = await_ready(opened.instance, opened.engine, job, before, timeout, progress)
        except StackError as error:
            raise stop_loops(opened.engine, before, error) from error
        remember_wanted(opened, "up")
        remember_ready(opened.state, verdict.observed)
    data = {
        "instance": opened.instance.name,
        "urls": dict(opened.instance.urls),
        "components": component_data(opened.instance, verdict.observed),
        "restarted": dict(verdict.restarted),
    }

    def text(style: Style) -> str:
        first = f"{opened.instance.name} {style.paint(f'is up ({style.took(verdict.seconds)})', GREEN)}"
        restarts = [style.wrapped(line, "  ") for line in restart_lines(verdict.restarted)]
        return "\n".join([first, *url_lines(opened.instance, style), *restarts])

    return Report.drawn("start", text, data)


def down(settings: Settings, progress: Progress) -> Report:
    """Remove the components and their networks; keep the data. Not an error when there is nothing."""
    with change(settings, progress) as opened:
        left = opened.engine.leftovers()
        if left.containers or left.networks:
            progress.step(f"{opened.instance.name}: removing its components")
            remember_wanted(opened, "down")
            opened.engine.down()
    text = f"{opened.instance.name} is down"
    if left.volumes:
        text += f"; its data is kept ({', '.join(left.volumes)}): `stackctl up` brings it back"
    return Report("down", text, {"instance": opened.instance.name, "kept": list(left.volumes)})
