"""Give each of root's instances a user of its own, so that none reads another's secrets or signals its processes.

The user is a number that nothing else uses; the owner of the instance's home records it. It has no entry in
`/etc/passwd`, only a line in the copy of that file in the instance's mount namespace, because PostgreSQL insists on a
name (`enter.py`). If this machine allows no mount namespace, like a container without CAP_SYS_ADMIN, root's instances
share the user `nobody`, and `up` says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import grp
import hashlib
import os
import pwd
import secrets
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from stack.engines import process
from stack.engines.embedded.layout import ROOT_HOMES
from stack.engines.embedded.namespace import BindMounts, command_in_namespace
from stack.engines.embedded.user import ACCOUNT, RunAs
from stack.errors import StackError

# Between those that systems give to people and services and those of containers: https://systemd.io/UIDS-GIDS
OWN_USERS = range(70000, 90000)
_SHARED = "nobody"
_TIMEOUT = 10.0
# The line of `pg_ident.conf` for the user that a server runs as.
_ADMITTED = 'owner "{}" '


def run_as_of(home: Path) -> RunAs | None:
    """Return the user that the servers of the instance in `home` run as; None for a plain user, who runs them.

    Without a home that is the shared user, until `make_home` chooses another one. Raises `user-missing`.
    """
    # Not the effective user, which is another in `acting_as`.
    caller = os.getuid()
    if caller != 0:
        _check_name(caller)
        return None
    with contextlib.suppress(FileNotFoundError):
        owner = home.lstat().st_uid
        if owner in OWN_USERS:
            return RunAs(owner, owner, own=True)
    return _shared()


def is_servers_user(user: int) -> bool:
    """Say whether servers of the caller run as this user."""
    return user == os.getuid() if os.getuid() else user in OWN_USERS or user == _shared().user


def _shared() -> RunAs:
    try:
        entry = pwd.getpwnam(_SHARED)
    except KeyError:
        raise StackError(
            "user-missing",
            f"servers never run as root, and this machine has no user {_SHARED!r}",
            f"make it (`useradd --system {_SHARED}`), or run stackctl as another user than root",
        ) from None
    return RunAs(entry.pw_uid, entry.pw_gid)


def _check_name(caller: int) -> None:
    try:
        pwd.getpwuid(caller)
    except KeyError:
        raise StackError(
            "user-missing",
            f"the user {caller} has no name on this machine, which PostgreSQL insists on",
            "add the user to /etc/passwd, or run stackctl as one that is in it",
        ) from None


@functools.cache
def why_shared() -> str | None:
    """Find out, in 30 ms, why root's instances can't have users of their own on this machine; None if they can."""
    if sys.platform != "linux":
        return "only Linux has private views of files"
    probe = RunAs(OWN_USERS[0], OWN_USERS[0], own=True)
    try:
        with command_in_namespace(["id", "-un"], Path("/"), probe, BindMounts()) as command:
            answer = process.run(command, {"PATH": os.defpath}, _TIMEOUT)
    except (OSError, TimeoutError) as error:
        return str(error)
    if answer.stdout.strip() == ACCOUNT:
        return None
    return answer.stderr.strip().removeprefix("stackctl: ") or "a name for a user is not taken from /etc/passwd"


def shared_notice() -> str:
    return (
        f"all of root's instances run as the user {_SHARED!r} here and can read each other's secrets, because this "
        f"machine allows no user of its own for each ({why_shared()})"
    )


def make_home(home: Path) -> None:
    """Make the home of one of root's instances if there is none. It appears with its owner, or not at all."""
    if not ROOT_HOMES.is_dir():
        ROOT_HOMES.mkdir(parents=True, exist_ok=True)
        # Each user has to pass through it, whatever the umask.
        ROOT_HOMES.chmod(0o711)
    with _locked():
        if home.exists():
            return
        run_as = _shared() if why_shared() else _free_user(home.name)
        new = ROOT_HOMES / f".new-{secrets.token_hex(4)}"
        new.mkdir(mode=0o700)
        os.chown(new, run_as.user, run_as.group)
        new.rename(home)


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Let one command at a time choose a user."""
    descriptor = os.open(ROOT_HOMES, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _free_user(name: str) -> RunAs:
    """Find a user that owns no home and no process, and has no name. The search begins at a hash of the name."""
    taken = _owners([*ROOT_HOMES.iterdir(), *Path("/proc").glob("[0-9]*")])
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    for offset in range(len(OWN_USERS)):
        user = OWN_USERS[(start + offset) % len(OWN_USERS)]
        if user not in taken and not _has_name(user):
            return RunAs(user, user, own=True)
    raise StackError(
        "user-missing",
        f"all users from {OWN_USERS[0]} to {OWN_USERS[-1]} are taken",
        "remove instances that are no longer needed: `stackctl prune`",
    )


def _owners(paths: Iterable[Path]) -> set[int]:
    owners = set()
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            owners.add(path.lstat().st_uid)
    return owners


def _has_name(user: int) -> bool:
    for known in (pwd.getpwuid, grp.getgrgid):
        with contextlib.suppress(KeyError):
            known(user)
            return True
    return False


def has_own_user(run_as: RunAs | None) -> bool:
    """Say whether an instance has a user of its own, or gets one with the next `up`."""
    return run_as is not None and (run_as.own or why_shared() is None)


def must_move(run_as: RunAs | None) -> bool:
    """Say whether an instance has the shared user although it can have one of its own."""
    return run_as is not None and not run_as.own and why_shared() is None


def give_own_user(home: Path) -> None:
    """Hand a home of the shared user, in which nothing runs, to a user of its own.

    The home itself comes last: if we are killed earlier, the next `up` does this again.
    """
    shared = _shared()
    with _locked():
        own = _free_user(home.name)
        for _, folders, files, at in os.fwalk(home, topdown=False):
            for name in (*folders, *files):
                owner = os.stat(name, dir_fd=at, follow_symlinks=False).st_uid
                # A second name of root's file stays root's. A move that was killed may have begun with another user.
                if owner == shared.user or owner in OWN_USERS:
                    os.chown(name, own.user, own.group, dir_fd=at, follow_symlinks=False)
        for names in home.glob("data/*/pg_ident.conf"):
            _admit(names)
        os.chown(home, own.user, own.group, follow_symlinks=False)


def _admit(names: Path) -> None:
    """Let the instance's own user administer a database as the shared user could."""
    with open(os.open(names, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW), "r+", encoding="utf-8") as file:
        text = file.read()
        old, new = _ADMITTED.format(_SHARED), _ADMITTED.format(ACCOUNT)
        if new not in text:
            file.write("".join(f"{line}\n".replace(old, new) for line in text.splitlines() if line.startswith(old)))
