"""Run a command as the user of a component, in its mount namespace. A script; its first argument is a JSON object.

    enter.py '{"folder": "/…", "user": [65534, 65534], "mounts": …}' PROGRAM WORD…

- `folder`: where the command runs.
- `user`: the user and group to become, without any other group, and without a way to gain privileges.
- `mounts`, with `staging`: make a mount namespace in which the servers' user reaches what it needs: an empty folder is
  mounted over each folder that it can't pass through, and only the given paths are bound into it, read-only.
- `lines`: files that have one more line in that namespace, like a name for the user.
- `join`: the pid whose mount namespace to enter instead. A file that lost its line there gets it again.
- `log`: detach from the terminal and from the parent, and write there.

Import everything at the start: after a change of namespace, Python's own files may be out of reach. A namespace
needs Linux; the rest needs only Python.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

# The exit code if the namespace could not be made or entered; the reason is on standard error.
NO_NAMESPACE = 71

# Every user can pass through it, so that nothing is mounted over it.
_STAGING = "/tmp"  # noqa: S108 - a folder in it gets a name that nothing else has
_CLONE_NEWNS = 0x20000
_NO_NEW_PRIVILEGES, _DROP_FROM_BOUND = 38, 24
_DETACH = 2
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _MOVE, _REC, _PRIVATE = 1, 2, 4, 32, 4096, 8192, 16384, 1 << 18


def main(arguments: list[str]) -> None:
    # Python changes both, and an exec passes on that a signal is ignored.
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    options: dict[str, Any] = json.loads(arguments[0])
    command = arguments[1:]
    try:
        lines = options.get("lines", {})
        if options.get("staging"):
            _make_namespace(options.get("mounts", {}), lines, options["staging"])
        if options.get("join"):
            _join_namespace(options["join"])
            _restore_lines(lines)
        if options.get("user"):
            _become(*options["user"])
    except OSError as error:
        _fail(NO_NAMESPACE, f"{error.filename or 'user'}: {error.strerror}")
    os.chdir(options["folder"])
    if options.get("log"):
        _detach(options["log"])
    try:
        os.execvpe(command[0], command, os.environ)  # noqa: S606 - a list of words, no shell
    except FileNotFoundError:
        _fail(127, f"{command[0]}: not found")
    except OSError as error:
        _fail(126, f"{command[0]}: {error.strerror}")


def _fail(exit_code: int, problem: str) -> None:
    print(f"stackctl: {problem}", file=sys.stderr)  # noqa: T201 - a program of its own
    sys.exit(exit_code)


def _become(user: int, group: int) -> None:
    """Become a user, in a way that nothing which runs from here on gains privileges, like a setuid program of root."""
    if sys.platform == "linux":
        capability = 0
        while _libc().prctl(_DROP_FROM_BOUND, capability, 0, 0, 0) == 0:
            capability += 1
        _check(_libc().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def _make_namespace(mounts: dict[str, list[str]], lines: dict[str, str], staging: str) -> None:
    """Make a mount namespace. No other process sees its mounts, and it ends with its last process."""
    _check(_libc().unshare(_CLONE_NEWNS), "unshare")
    _mount("none", "/", None, _REC | _PRIVATE)
    if lines:
        _add_lines(lines, staging)
    for closed, paths in mounts.items():
        _mount("tmpfs", staging, "tmpfs", _NOSUID | _NODEV, "mode=0755,size=1m")
        for path in paths:
            _bind(path, staging + path[len(closed) :])
        _mount(None, staging, None, _REMOUNT | _BIND | _RDONLY)
        _mount(staging, closed, None, _MOVE)


def _add_lines(lines: dict[str, str], staging: str) -> None:
    """Mount copies of root's that no other user can change: with a line of its own, a user could become another."""
    _mount("tmpfs", staging, "tmpfs", _NOSUID | _NODEV, "mode=0755,size=16m")
    for path, line in lines.items():
        made = Path(staging, Path(path).name)
        made.write_text(f"{Path(path).read_text(encoding='utf-8').rstrip()}\n{line}\n", encoding="utf-8")
        made.chmod(0o644)
        _mount(str(made), path, None, _BIND)
        _mount(None, path, None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)
    # The copies stay, because they are bound.
    _check(_libc().umount2(os.fsencode(staging), _DETACH), staging)


def _restore_lines(lines: dict[str, str]) -> None:
    """Add the lines again to files that were replaced on the machine: the kernel then drops what is bound over them."""
    texts = {path: Path(path).read_text(encoding="utf-8") for path in lines}
    lost = {path: line for path, line in lines.items() if line not in texts[path].split("\n")}
    if not lost:
        return
    staging = f"{_STAGING}/stackctl-view-{os.urandom(8).hex()}"
    os.mkdir(staging, 0o700)
    try:
        _add_lines(lost, staging)
    finally:
        # Not while it is mounted, after an error that says more.
        with contextlib.suppress(OSError):
            os.rmdir(staging)


def _bind(path: str, target: str) -> None:
    made = Path(target)
    if Path(path).is_dir():
        made.mkdir(parents=True, exist_ok=True)
    else:
        made.parent.mkdir(parents=True, exist_ok=True)
        made.touch()
    _mount(path, target, None, _BIND | _REC)
    _mount(None, target, None, _REMOUNT | _BIND | _RDONLY)


def _join_namespace(pid: int) -> None:
    descriptor = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    _check(_libc().setns(descriptor, _CLONE_NEWNS), "setns")


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, data)]
    _check(_libc().mount(*words[:3], ctypes.c_ulong(flags), words[3]), target)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _detach(log: str) -> None:
    """Go on in a new session, as an orphan: neither a terminal nor the parent ends it, and the parent can exit."""
    if os.fork():
        os._exit(0)
    os.setsid()
    silence = os.open(os.devnull, os.O_RDONLY)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, stream in ((silence, 0), (written, 1), (written, 2)):
        os.dup2(descriptor, stream)


if __name__ == "__main__":
    main(sys.argv[1:])
