"""Make the data folder of a PostgreSQL where there is none, then become the server: a script that `launch` starts.

    cluster.py --tools FOLDER --major N --data FOLDER --admin A --user U --database D --password-file FILE \
        [--public] -- postgres WORD…

The final name appears once everything beneath it is complete and on the disk, whatever is killed before. A folder
with the final name is never recreated and never deleted here. It needs nothing but Python.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

MARK = "stackctl.json"
_SCHEMA = 1
_OWNER = "owner"
# Other machines may log in with a password. It has no effect on a server that listens on this machine alone.
_FROM_ANYWHERE = "host all all all scram-sha-256"
# Without a single word of the user's environment: not even a `PGOPTIONS` may have a say.
_ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}


def main(arguments: list[str]) -> None:
    import argparse  # only here: other modules import this one

    cut = arguments.index("--")
    parser = argparse.ArgumentParser()
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--major", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--admin", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--password-file", required=True)
    parser.add_argument("--public", action="store_true")
    options = parser.parse_args(arguments[:cut])
    if not options.data.exists():
        _make(options)
    elif found := problem(options.data, options.major):
        sys.exit(f"stackctl: {found[1]}")
    _admit_owner(options, options.data)
    if options.public:
        _complete(options.data / "pg_hba.conf", [_FROM_ANYWHERE])
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and an exec would pass that on
    os.execv(arguments[cut + 1], arguments[cut + 1 :])  # noqa: S606 - a list of words, no shell


def problem(data: Path, major: int) -> tuple[str, str] | None:
    """The error code and message of a folder that no server of version `major` may be started on, else None."""
    version = version_of(data)
    if version is None:
        return "data-incomplete", f"the data of PostgreSQL is not complete: {data} is there, without a PG_VERSION in it"
    if version != major:
        return "data-version", f"{data} was made by PostgreSQL {version}; this is PostgreSQL {major}"
    if not (data / MARK).is_file():
        return "data-incomplete", f"the data of PostgreSQL is not complete: {data} has no {MARK}, which is made last"
    return None


def version_of(data: Path) -> int | None:
    """The major version that made a folder; None for what is no data of PostgreSQL."""
    try:
        return int((data / "PG_VERSION").read_text(encoding="utf-8").split(".")[0])
    except (OSError, ValueError):
        return None


def is_served(data: Path) -> bool:
    """Whether a server runs on a folder. The number that one noted there which was killed may be another's now."""
    try:
        process = int((data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        if sys.platform == "linux":
            return os.path.samefile(f"/proc/{process}/cwd", data)
        os.kill(process, 0)
    except (OSError, ValueError, IndexError):
        return False
    return True


def _make(options: argparse.Namespace) -> None:
    data: Path = options.data
    _remove_leftovers(data)
    partial = Path(tempfile.mkdtemp(prefix=f".{data.name}.", dir=data.parent))
    print(f"stackctl: making the data folder {data}", flush=True)  # noqa: T201 - the log
    _run(
        options.tools / "initdb", "-D", str(partial), f"--username={options.admin}",
        f"--pwfile={options.password_file}", "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8",
        *_locale(options.major), "--no-sync", "--no-instructions",
    )  # fmt: skip
    _admit_owner(options, partial)
    _make_user(options, partial)
    (partial / MARK).write_text(json.dumps({"schema": _SCHEMA, "database": options.database}), encoding="utf-8")
    _run(options.tools / "initdb", "--sync-only", "-D", str(partial))
    partial.rename(data)
    _sync(data.parent)


def _admit_owner(options: argparse.Namespace, data: Path) -> None:
    """Let the system's user that owns all of it in without a password, on the socket, which is in a folder of its own.

    So a lost password can be replaced. That user can read the data anyway. Data of before an administrator's role was
    made has a rule for the declared user alone.
    """
    try:
        owner = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        # The users of the machine have changed since, and the next command gives this one its name again. It was let
        # in when the data was made, and the server does not need it to start.
        return
    roles = (options.admin, options.user)
    _complete(data / "pg_hba.conf", [f'local all "{role}" peer map={_OWNER}' for role in roles])
    _complete(data / "pg_ident.conf", [f'{_OWNER} "{owner}" "{role}"' for role in roles])


def _complete(file: Path, lines: list[str]) -> None:
    """Put those of the lines that are not there at its beginning, where they count before any other."""
    text = file.read_text(encoding="utf-8")
    there = text.splitlines()
    if missing := [line for line in lines if line not in there]:
        new = file.with_name(f"{file.name}.new")
        new.write_text("".join(f"{line}\n" for line in missing) + text, encoding="utf-8")
        new.chmod(0o600)
        new.replace(file)


def _remove_leftovers(data: Path) -> None:
    """What an attempt that was killed left. An initdb that still writes there fails; the next start cleans up."""
    for partial in data.parent.glob(f".{data.name}.*"):
        shutil.rmtree(partial, ignore_errors=True)


def _locale(major: int) -> list[str]:
    """The same order and the same letters on every machine: from 17 on PostgreSQL brings its own."""
    if major >= 17:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C"]


def _make_user(options: argparse.Namespace, partial: Path) -> None:
    """Make the declared user, with the password that `initdb` was given, and its database; the administrator has none.

    In single-user mode: nothing can connect. All of it is synced at the end, and so nothing here (`-F`).
    """
    statements = first_statements(options.admin, options.user, options.database)
    said = _run(
        options.tools / "postgres", "--single", "-F", "-D", str(partial), "postgres",
        entered="".join(f"{statement}\n" for statement in statements),
    )  # fmt: skip
    # In this mode an error of a statement is no error of the program.
    if f'"{made(options.database)}"' not in said:
        sys.exit(f"stackctl: the database {options.database} could not be made:\n{said}")


def first_statements(admin: str, user: str, database: str) -> list[str]:
    """Give the statements that make the declared user and its database, each a line; the last answers `made`."""
    where = f"datname = '{database}' AND datdba = '{user}'::regrole"
    return [
        "DO $do$ BEGIN EXECUTE (SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', "  # noqa: S608 - checked names
        f"'{user}', rolpassword) FROM pg_authid WHERE rolname = current_user); END $do$",
        f'CREATE DATABASE "{database}" OWNER "{user}" STRATEGY FILE_COPY'
        if database != "postgres"
        else f'ALTER DATABASE "{database}" OWNER TO "{user}"',
        f'ALTER ROLE "{admin}" PASSWORD NULL',
        f"SELECT 'made ' || datname FROM pg_database WHERE {where}",  # noqa: S608 - checked names
    ]


def made(database: str) -> str:
    """Return what the last of those statements answers."""
    return f"made {database}"


def _run(*command: str | Path, entered: str = "") -> str:
    """What a program wrote; exits with that where it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        input=entered, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_ENVIRONMENT, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"stackctl: {Path(command[0]).name} failed ({done.returncode}):\n{done.stdout}")
    return done.stdout


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("stackctl: interrupted; the next start begins again")
