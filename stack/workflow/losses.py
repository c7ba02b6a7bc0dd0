"""Say, before anything is done, what is declared and the engine of an instance does not do."""

from __future__ import annotations

from stack.errors import ExitCode, StackError
from stack.progress import Progress
from stack.style import Style
from stack.workflow.opened import Opened


def loss_lines(opened: Opened, style: Style) -> list[str]:
    """Say it for people, all at once."""
    return [style.wrapped(each, "! ", "    ") for each in opened.losses]


def tell_losses(opened: Opened, progress: Progress, strict: bool) -> None:
    """Show what is lost. With `strict` raises `lossy` if anything is, which ends with 3."""
    if not opened.losses:
        return
    if strict:
        raise _lossy(opened)
    progress.announce(lambda style: "\n".join(loss_lines(opened, style)))


def _lossy(opened: Opened) -> StackError:
    error = StackError(
        "lossy",
        f"the {opened.engine.name} engine does not do all that is declared; nothing was changed",
        "leave out of the stack file what the lines above name, or leave --strict out",
        "\n".join(opened.losses),
    )
    error.exit_code = ExitCode.CHANGES
    return error
