"""Look at what the embedded engine needs of this machine: programs that run, and no processes without an instance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from stack.capabilities import Programs
from stack.engines import process
from stack.engines.embedded.strays import homeless
from stack.findings import Finding, ok

_LIMIT = 10.0
_SUPERVISORD = "supervisor.supervisord"


def of_programs(programs: Iterable[Programs]) -> Iterator[Finding]:
    """Whether each server starts here at all, and its version."""
    for program in dict.fromkeys(path for each in programs for path in each.paths.values()):
        check = f"embedded {program.name}"
        try:
            answer = process.run([str(program), "--version"], {"LC_ALL": "C"}, _LIMIT)
        except (OSError, TimeoutError) as error:
            yield _does_not_run(check, program, str(error))
            continue
        if answer.ok:
            yield ok(check, f"{answer.stdout.strip()} ({program})")
        else:
            yield _does_not_run(check, program, (answer.stderr or answer.stdout).strip())


def _does_not_run(check: str, program: Path, said: str) -> Finding:
    cure = "use the servers of the system with --use-system-binaries, or Docker with --engine compose"
    return Finding(check, "fail", f"{program} does not run on this machine: {said}", cure)


def of_isolation(notices: Sequence[str]) -> Iterator[Finding]:
    """Whether another instance can read what this one keeps to itself."""
    for notice in notices:
        yield Finding("embedded isolation", "warn", notice, "run stackctl as a user of its own, or use Docker")
    if not notices:
        yield ok("embedded isolation", "no other user's processes read the instance's files")


def of_orphans() -> Finding:
    """What runs and whose home is gone, and with it the instance: supervisors, and else what they started."""
    gone = {home: {number: _SUPERVISORD} for home, number in supervisors() if not home.is_dir()}
    orphans = sorted((number, home) for home, numbers in (homeless() | gone).items() for number in numbers)
    if not orphans:
        return ok("embedded orphans", "no processes without their instance")
    shown = ", ".join(f"process {number} of {folder}" for number, folder in orphans)
    numbers = " ".join(str(number) for number, _ in orphans)
    cure = f"`stackctl prune` ends it, and so does `kill {numbers}`"
    return Finding("embedded orphans", "warn", f"the folder of what runs is gone: {shown}", cure)


def supervisors(of: Callable[[int], bool] | None = None) -> Iterator[tuple[Path, int]]:
    """The home and the process of each supervisor of ours, of the users that `of` accepts or of all."""
    # 6 ms: only for what needs it.
    import psutil

    for each in psutil.process_iter(["cmdline", "uids"]):
        configuration = configuration_of(each.info["cmdline"] or [])
        if configuration is not None and (of is None or of(each.info["uids"].effective)):
            yield configuration.parent.parent, each.pid


def configuration_of(command: Sequence[str]) -> Path | None:
    """The configuration that a command line of supervisord names, if it is one of ours: HOME/conf/supervisord.conf."""
    words = list(command)
    if _SUPERVISORD not in words or "-c" not in words[:-1]:
        return None
    path = Path(words[words.index("-c") + 1])
    return path if path.parts[-2:] == ("conf", "supervisord.conf") else None
