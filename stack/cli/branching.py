"""Commands on branches: instances whose data began as a copy of that of another one."""

from __future__ import annotations

from stack.cli.app import branch_app
from stack.cli.components import BY_BRANCH
from stack.cli.options import AcceptLoss, BranchName, CommandByName, NoSnapshot, Session, Timeout, Yes, command
from stack.report import Report


@command(branch_app.command(BY_BRANCH, cls=CommandByName))
def branch(session: Session, name: BranchName, timeout: Timeout = 120) -> Report[object]:
    """Make a branch: another instance that begins with a copy of the data.

    It has ports and passwords of its own, and never writes to the instance that it is copied from, which serves on
    meanwhile. Every other command takes it by --instance NAME.

    \b
    Examples:
      stackctl branch feature
      stackctl --instance feature inspect
    """
    from stack.commands.branch import branch

    return branch(session.settings, name, session.progress, timeout)


@command(branch_app.command("list"))
def branch_list(session: Session) -> Report[object]:
    """List the branches, with their parent, age and size.

    \b
    Example:
      stackctl branch list
    """
    from stack.commands.branch_list import list_branches

    return list_branches(session.settings)


@command(branch_app.command("reset"))
def branch_reset(
    session: Session,
    name: BranchName,
    yes: Yes = False,
    no_snapshot: NoSnapshot = False,
    timeout: Timeout = 120,
) -> Report[object]:
    """Replace the data of a branch with a copy of its parent's current data; ask first.

    \b
    Example:
      stackctl branch reset feature
    """
    from stack.commands.branch import reset_branch

    confirm = session.asking("branch reset", yes, "Replace", name)
    return reset_branch(session.settings, name, session.progress, confirm, not no_snapshot, timeout)


@command(branch_app.command("delete"))
def branch_delete(
    session: Session,
    name: BranchName,
    yes: Yes = False,
    no_snapshot: NoSnapshot = False,
    accept_loss: AcceptLoss = False,
) -> Report[object]:
    """Delete a branch with all of its data; ask first.

    Its data is saved first, as by `reset`: `stackctl --instance NAME undo` brings it back.

    \b
    Example:
      stackctl branch delete feature
    """
    from stack.commands.branch_list import delete_branch

    confirm = session.asking("branch delete", yes, instance=name)
    return delete_branch(session.settings, name, session.progress, confirm, not no_snapshot, accept_loss)
