"""Check what the embedded engine needs of this machine: programs that run, and no processes without an instance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from stack.capabilities import Programs
from stack.engines import process
from stack.engines.embedded.strays import homeless
from stack.findings import Finding, ok

_TIMEOUT = 10.0
_SUPERVISORD = "supervisor.supervisord"


def of_programs(programs: Iterable[Programs]) -> Iterator[Finding]:
    """Check that each server starts on this machine, and tell its version."""
    for program in dict.fromkeys(path for each in programs for path in each.paths.values()):
        check = f"embedded {program.name}"
        try:
            answer = process.run([str(program), "--version"], {"LC_ALL": "C"}, _TIMEOUT)
        except (OSError, TimeoutError) as error:
            yield _does_not_run(check, program, str(error))
            continue
        if answer.ok:
            # Some tell more about themselves in further lines.
            version = answer.stdout.strip().partition("\n")[0]
            yield ok(check, f"{version} ({program})")
        else:
            yield _does_not_run(check, program, (answer.stderr or answer.stdout).strip())


def _does_not_run(check: str, program: Path, problem: str) -> Finding:
    fix = "use the servers of the system with --use-system-binaries, or Docker with --engine compose"
    return Finding(check, "fail", f"{program} does not run on this machine: {problem}", fix)


def of_isolation(notices: Sequence[str]) -> Iterator[Finding]:
    """Check that other instances can't read the files of this one."""
    for notice in notices:
        yield Finding("embedded isolation", "warn", notice, "run stackctl as a user of its own, or use Docker")
    if not notices:
        yield ok("embedded isolation", "no other user's processes read the instance's files")


def of_orphans() -> Finding:
    """Check for processes of homes that were deleted: supervisors, and what they started."""
    gone = {home: {number: _SUPERVISORD} for home, number in supervisors() if not home.is_dir()}
    orphans = sorted((number, home) for home, numbers in (homeless() | gone).items() for number in numbers)
    if not orphans:
        return ok("embedded orphans", "no processes without their instance")
    shown = ", ".join(f"process {number} of {folder}" for number, folder in orphans)
    numbers = " ".join(str(number) for number, _ in orphans)
    fix = f"`stackctl prune` ends it, and so does `kill {numbers}`"
    return Finding("embedded orphans", "warn", f"the folder of what runs is gone: {shown}", fix)


def supervisors(of: Callable[[int], bool] | None = None) -> Iterator[tuple[Path, int]]:
    """Yield the home and pid of each supervisord of stackctl; `of` says whether to include those of a user."""
    # 6 ms: only for what needs it.
    import psutil

    for each in psutil.process_iter(["cmdline", "uids"]):
        configuration = configuration_of(each.info["cmdline"] or [])
        if configuration is not None and (of is None or of(each.info["uids"].effective)):
            yield configuration.parent.parent, each.pid


def configuration_of(command: Sequence[str]) -> Path | None:
    """Return the HOME/conf/supervisord.conf in a command line of supervisord; None if it is not one of stackctl."""
    words = list(command)
    if _SUPERVISORD not in words or "-c" not in words[:-1]:
        return None
    path = Path(words[words.index("-c") + 1])
    return path if path.parts[-2:] == ("conf", "supervisord.conf") else None
