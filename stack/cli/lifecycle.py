"""Commands that start, stop and remove an instance."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from stack.cli.app import app
from stack.cli.components import component_names
from stack.cli.options import (
    AcceptLoss,
    Components,
    NoSnapshot,
    Parameters,
    Port,
    Publish,
    Session,
    Strict,
    Timeout,
    Unpublish,
    With,
    Without,
    Yes,
    command,
)
from stack.cli.terminal import note, write_report
from stack.errors import UsageError
from stack.report import Report


@command(app.command("up"))
def up(
    session: Session,
    components: Components = None,
    port: Port = None,
    parameters: Parameters = None,
    on: With = None,
    off: Without = None,
    publish: Publish = None,
    unpublish: Unpublish = None,
    timeout: Timeout = 120,
    saved: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="Apply this saved plan; refuse if anything changed since."),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Restore the previous version if the new one fails.")
    ] = False,
    strict: Strict = False,
    local: Annotated[
        str | None,
        typer.Option(
            "--local",
            metavar="COMPONENT",
            autocompletion=component_names,
            help="Run it here as a process of this machine.",
        ),
    ] = None,
    branch_of: Annotated[
        str | None,
        typer.Option(
            "--branch-of",
            metavar="NAME",
            help="Begin a new instance with a copy of another's data: an instance, or a worktree or Git branch.",
        ),
    ] = None,
    system_binaries: Annotated[
        bool, typer.Option("--use-system-binaries", help="Embedded: use the servers on PATH.")
    ] = False,
    watching: Annotated[
        bool, typer.Option("--watch", "-w", help="Then apply changes of the sources until Ctrl-C.")
    ] = False,
) -> Report[object]:
    """Build and start everything, and print its address.

    Another `up` applies only what changed in the declaration, and always keeps the data. `plan` previews it.
    With COMPONENT it starts only these and what they need, and leaves everything else as it is.
    With --local it starts everything else, and then runs that component in this terminal until Ctrl-C.

    \b
    Examples:
      stackctl up
      stackctl up --port 8080
      stackctl up --port auto
      stackctl up --set LOG_LEVEL=debug --set STRIPE_KEY=@stripe.key
      stackctl up --with tools
      stackctl up --publish db
      stackctl up web
      stackctl up --local web
      stackctl up --watch
      stackctl up --instance review
      stackctl up --engine embedded
      stackctl up --branch-of main
    """
    from stack.commands.up import up
    from stack.workflow.asked import Switches
    from stack.workflow.converge import UpOptions

    began = time.monotonic()
    _check_whole(components, saved, "--plan")
    if local is not None and (components or saved or session.json or watching):
        raise UsageError(
            "up --local starts everything else and goes on in this terminal",
            "leave out names, --plan, --watch and --json",
        )
    options = UpOptions(timeout, saved, rollback, strict=strict)
    groups = Switches(on or (), off or (), publish or (), unpublish or ())
    settings, ports, names = session.given(parameters), _ports(port or []), components or ()
    ask, progress = session.question(), session.progress

    def make() -> Report[object]:
        return up(settings, progress, ports, system_binaries, options, ask, groups, names, local, branch_of)

    if local is None:
        return _watch(session, timeout, make) if watching else make()
    report = make()
    from stack.commands.up_local import run_in_place

    progress.close()
    write_report(session.invocation.report(report), time.monotonic() - began)
    return run_in_place(settings, local, lambda text: note(session.invocation.text(text)))


@command(app.command("watch"))
def watch(session: Session, timeout: Timeout = 120) -> Report[object]:
    """Apply changes of the sources and of the stack file until Ctrl-C.

    What changed before is applied first. Each change is a line: which files, which components, what was done. What
    fails keeps the old version running, if the engine has one, and the next change tries again. Ctrl-C stops nothing.

    \b
    Examples:
      stackctl watch
      stackctl up --watch
    """
    return _watch(session, timeout)


def _watch(session: Session, timeout: float, make: Callable[[], Report[object]] | None = None) -> Report[object]:
    from stack.cli.terminal import Output
    from stack.commands.watch import watch
    from stack.progress import Silence

    if session.json:
        raise UsageError("watching has no end, and --json is one object", "programs read `stackctl events`")

    def first() -> Report[object]:
        assert make is not None  # noqa: S101 - it is called only then
        try:
            return session.invocation.report(make())
        finally:
            session.progress.close()

    return watch(session.settings, Silence(), Output(), timeout, first if make else None)


@command(app.command("plan"))
def plan(
    session: Session,
    components: Components = None,
    parameters: Parameters = None,
    on: With = None,
    off: Without = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 3 if something would change.")] = False,
    strict: Strict = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Save the plan for `up --plan FILE`.")
    ] = None,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Apply the pending migrations to a copy of the data first.")
    ] = False,
) -> Report[object]:
    """Show what `up` would do, why, and what happens to the data.

    It changes nothing. Manual changes are marked as drift. With COMPONENT it is the plan of `up COMPONENT`.
    With --rehearse it also shows how long each statement of a migration takes, and which tables it locks.

    \b
    Examples:
      stackctl plan
      stackctl plan --exit-code
      stackctl plan --with tools
      stackctl plan web
      stackctl plan --rehearse
      stackctl plan --output next.json && stackctl up --plan next.json
    """
    from stack.commands.plan import plan
    from stack.workflow.asked import Switches

    _check_whole(components, output, "--output")
    groups = Switches(on or (), off or ())
    return plan(
        session.given(parameters), exit_code, output, groups, components or (), strict,
        session.progress if rehearse else None,
    )  # fmt: skip


def _check_whole(components: list[str] | None, file: Path | None, option: str) -> None:
    """Refuse a saved plan of some components: which they were would have to be typed again."""
    if components and file is not None:
        raise UsageError(f"{option} is for a plan of everything", f"leave out {option}, or {' and '.join(components)}")


def _ports(texts: list[str]) -> dict[str | None, int | Literal["auto"]]:
    """`8080` → {None: 8080}; `web=8080` → {"web": 8080}; `search.http=auto` → {"search.http": "auto"}."""
    ports: dict[str | None, int | Literal["auto"]] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        if (name or None) in ports:
            raise UsageError(f"--port is given twice{f' for {name}' if name else ''}", "leave one of them out")
        if number == "auto" and (name or not equals):
            ports[name or None] = "auto"
            continue
        if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 65535 or (equals and not name):
            raise UsageError(
                f"--port: {text!r} is not a port (1-65535)",
                "write --port 8080, --port web=8080, --port search.http=8080 or --port auto",
            )
        ports[name or None] = int(number)
    return ports


@command(app.command("update"))
def update(
    session: Session,
    components: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMPONENT]...", help="Only the images of these components.", autocompletion=component_names
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what is newer; exit 3 if anything is.")] = False,
) -> Report[object]:
    """Pin the images to the newest versions of their tags.

    It asks the registries for the digest of each image and writes them to stack.lock, beside the stack file. From then
    on `up` uses these versions on every machine, until the next `update`. The images that a Dockerfile begins with are
    not pinned.

    \b
    Examples:
      stackctl update --dry-run
      stackctl update
      stackctl update db && stackctl up
    """
    from stack.commands.update import update

    return update(session.settings, session.progress, components or [], dry_run)


@command(app.command("wait"))
def wait(session: Session, timeout: Timeout = 120) -> Report[object]:
    """Wait until everything is ready.

    It exits 0 once all components are healthy and a real request was answered, and 1 on failure or timeout. It starts
    nothing itself.

    \b
    Example:
      stackctl wait --timeout 60 && npm test
    """
    from stack.commands.wait import wait

    return wait(session.settings, session.progress, timeout)


@command(app.command("stop"))
def stop(session: Session, components: Components = None) -> Report[object]:
    """Stop the components; `start` starts them again.

    With COMPONENT only these; the others run on. `status` shows them as stopped, and the next `up` starts them.

    \b
    Examples:
      stackctl stop
      stackctl stop worker
    """
    from stack.commands.stop import stop

    return stop(session.settings, session.progress, components or ())


@command(app.command("start"))
def start(session: Session, components: Components = None, timeout: Timeout = 120) -> Report[object]:
    """Start stopped components, and wait until they are ready.

    With COMPONENT only these and what they need. They are as they were: `restart` and `up` apply what changed.
    """
    from stack.commands.start import start

    return start(session.settings, session.progress, timeout, components or ())


@command(app.command("restart"))
def restart(session: Session, components: Components = None, timeout: Timeout = 120) -> Report[object]:
    """Restart the components, with what changed of them.

    It applies what `plan` shows of them first, and says what that was. With COMPONENT only these are touched, and jobs
    that come before them if they changed.

    \b
    Examples:
      stackctl restart
      stackctl restart web worker
    """
    from stack.commands.restart import restart

    return restart(session.settings, session.progress, timeout, components or ())


@command(app.command("down"))
def down(session: Session) -> Report[object]:
    """Remove the components; keep the data.

    `stackctl up` creates them again.
    """
    from stack.commands.down import down

    return down(session.settings, session.progress)


@command(app.command("reset"))
def reset(
    session: Session, yes: Yes = False, no_snapshot: NoSnapshot = False, accept_loss: AcceptLoss = False
) -> Report[object]:
    """Delete everything, including the DATA; ask first.

    It says what it will delete. It first saves a snapshot of the databases and verifies it by restoring it once;
    `stackctl undo` restores the data. Without a terminal it needs --yes.

    \b
    Examples:
      stackctl reset
      stackctl reset --yes --no-snapshot
    """
    from stack.commands.reset import reset

    return reset(session.settings, session.progress, session.asking("reset", yes), not no_snapshot, accept_loss)


@command(app.command("prune"))
def prune(
    session: Session,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    data: Annotated[bool, typer.Option("--data", help="Also delete the DATA of orphaned instances.")] = False,
    yes: Yes = False,
) -> Report[object]:
    """Remove what is left of orphaned instances; ask first.

    Orphaned are those whose directory is gone. Without --data their data is kept. An instance whose directory exists is
    never touched. --instance and --engine filter what is removed.

    \b
    Examples:
      stackctl prune --dry-run
      stackctl prune
    """
    from stack.commands.prune import prune

    return prune(session.settings, session.progress, session.asking("prune", yes), data, dry_run)
