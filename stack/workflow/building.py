"""Build the images of what changed, and show how far each of them is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from stack.applied import Files
from stack.model import Stack
from stack.progress import Progress
from stack.workflow.journal import Journal
from stack.workflow.opened import Opened
from stack.workflow.part import EVERYTHING, Part
from stack.workflow.planning import PlanContext

# A line that says that a step of a build begins: `#9 [web build 4/6] RUN make`.
_STEP = re.compile(r"^#\d+ \[([^\]\n]*\d+/\d+)\] *(.*)$", re.MULTILINE)
_STEP_LENGTH = 80


def build_images(
    opened: Opened, journal: Journal, context: PlanContext, progress: Progress, part: Part = EVERYTHING
) -> None:
    """Build what the plan says, and record of which sources. Raises `StackError` for a build that failed.

    Unless a part alone is made, all is built: what did not change costs nothing.
    """
    if built := build(opened, context, progress, part):
        journal.save(journal.applied.built(built))


def build(opened: Opened, context: PlanContext, progress: Progress, part: Part = EVERYTHING) -> Mapping[str, Files]:
    """Do the same without recording it; return the sources, by component."""
    built = context.plan.builds
    if not built:
        return {}
    instance = opened.instance
    shown = owners(instance.stack, built)
    images = owners(instance.stack, [name for name in instance.stack.names if instance.source(name) is not None])
    with opened.engine.build(shown if part.names else ()) as job:
        while (exit_code := job.wait(0.5)) is None:
            at = steps(job.output, images)
            progress.states({name: f"building {at.get(name, '')}".rstrip() for name in shown})
    if exit_code:
        raise job.explain()
    return {name: context.declared.sources[name] for name in built}


def owners(stack: Stack, names: Sequence[str]) -> list[str]:
    """Return the components whose images these have: one image is built once, however many run it."""
    return [*dict.fromkeys(stack.workload(name, "container").image_of or name for name in names)]


def steps(output: str, images: Sequence[str]) -> Mapping[str, str]:
    """Return the last step that the build of each image began; of a step that images share, for one of them.

    The name of the image stands in front of the step if the project has several.
    """
    found = {}
    for where, what in _STEP.findall(output):
        name, _, rest = where.partition(" ")
        if len(images) > 1 and name in images and rest:
            found[name] = f"[{rest}] {what}"[:_STEP_LENGTH]
        elif len(images) == 1:
            found[images[0]] = f"[{where}] {what}"[:_STEP_LENGTH]
    return found
