"""What stackctl remembers of an instance, in `.stackctl/<instance>/`, readable by its owner alone.

record.json     the names and ports that the instance was given, and record.copy.json the same once more
secrets/        one file a secret, made once
compose/        what was generated for the engine, and compose-123abc/ the same for one on a server
lock            a kernel lock, held by the command that changes the instance
holder.json     which command that is, for those that wait
unfinished      there for as long as the instance is being made as a branch of another one
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from stack import files
from stack.applied import Applied, Done, FileState
from stack.errors import StackError
from stack.locks import attempt
from stack.processes import describe
from stack.progress import Progress
from stack.record import Record
from stack.references import Secret

SCHEMA = 1
_LOCK_TIMEOUT = 60.0
_LOCK_INTERVAL = 0.05
# A command that waits longer than this says so.
_LOCK_NOTICE = 1.0
_IGNORE = ".gitignore"
_IGNORE_ALL = "*\n"
_RECORD = "record.json"
# Without what it says, data that a restore has put into another store can't be found again.
_RECORD_COPY = "record.copy.json"
_APPLIED = "applied.json"
_APPLIED_ELSEWHERE = "applied.elsewhere.json"
_LOCK = "lock"
_HOLDER = "holder.json"
_UNFINISHED = "unfinished"
_SECRET_MODE = 0o444
_TRIES = 20
_HINT = "check the folder's permissions and free space, or set STACKCTL_STATE to another folder"


class State:
    """The folder of one instance. Every method raises `StackError` (`state-unusable`) when it can't do its work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exists(self) -> bool:
        """Whether anything is remembered of the instance: a folder with nothing but a lock is no instance."""
        with _explained(self.folder):
            try:
                return any(path.name not in (_LOCK, _HOLDER) for path in self.folder.iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return False

    def record(self) -> Record | None:
        """What was remembered, or None for a new instance. Its copy serves if the file is damaged or gone."""
        try:
            found = self._read_record(_RECORD)
        except StackError:
            with contextlib.suppress(StackError):
                if (copy := self._read_record(_RECORD_COPY)) is not None:
                    return copy
            raise
        return found or self._read_record(_RECORD_COPY)

    def _read_record(self, name: str) -> Record | None:
        path = self.folder / name
        try:
            if (text := _text(path)) is None:
                return None
            data = json.loads(text)
            if data["schema"] != SCHEMA:
                raise _unusable(
                    path,
                    f"was written by another version of stackctl (schema {data['schema']})",
                    "use that version for this instance",
                )
            return Record.parsed(data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _unusable(
                path,
                "is damaged",
                "put it back from a backup: it says on which engine, ports and data the instance is; if nothing of its "
                f"data is needed, delete {self.folder} and type `stackctl --instance {self.folder.name} prune --data`",
            ) from error

    def remember(self, record: Record) -> None:
        text = json.dumps({"schema": SCHEMA, **record.data}, indent=2) + "\n"
        self.write(_RECORD, text)
        self.write(_RECORD_COPY, text)

    def applied(self, elsewhere: bool = False) -> Applied:
        """What is remembered of the last `up`; nothing where that is of another version, or damaged.

        `elsewhere`: of the last one at the other place of the instance.
        """
        try:
            data = json.loads((self.folder / (_APPLIED_ELSEWHERE if elsewhere else _APPLIED)).read_text("utf-8"))
            if data.pop("schema") != SCHEMA:
                return Applied()
            sources = data.pop("sources").items()
            files = {name: {path: FileState(**values) for path, values in states.items()} for name, states in sources}
            jobs = {name: Done(**values) for name, values in data.pop("jobs", {}).items()}
            return Applied(sources=files, jobs=jobs, **data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Applied()

    def save_applied(self, applied: Applied, elsewhere: bool = False) -> None:
        name = _APPLIED_ELSEWHERE if elsewhere else _APPLIED
        self.write(name, json.dumps({"schema": SCHEMA, **asdict(applied)}) + "\n")

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        """Write a file whole or not at all, in folders that only the owner can enter."""
        path = self.folder / name
        with _explained(path):
            self._make_private(path.parent)
            files.write_text(path, text, mode)
        return path

    def begin(self) -> None:
        """Note that the instance is being made, until `finish`: what there is of it is worth nothing before."""
        self.write(_UNFINISHED, "")

    def finish(self) -> None:
        """Note that the instance is made."""
        with _explained(self.folder):
            (self.folder / _UNFINISHED).unlink()

    @property
    def unfinished(self) -> bool:
        """Whether a command began to make the instance and did not end that."""
        return (self.folder / _UNFINISHED).exists()

    def unfinished_others(self) -> list[State]:
        """Return the states of the instances beside this one that are unfinished, also those being made just now."""
        found = sorted(self.folder.parent.glob(f"*/{_UNFINISHED}"))
        return [State(path.parent) for path in found if path.parent != self.folder]

    def has_secret(self, secret_id: str) -> bool:
        return (self.folder / "secrets" / secret_id).is_file()

    def provide_secret(self, secret_id: str) -> None:
        """Create the secret from 256 random bits if it does not exist.

        The file can be read by every user of a container: Compose mounts a file secret with the mode that it has
        (docker/compose#9648), and the users in containers are not its owner. Other users of this machine are
        kept out by its folder, 0700.
        """
        if not self.has_secret(secret_id):
            self.write(f"secrets/{secret_id}", secrets.token_urlsafe(32), mode=_SECRET_MODE)
        self._set_mode(secret_id, _SECRET_MODE)

    def keep_secret(self, secret_id: str, value: str, mounted: bool) -> None:
        """Write a secret that was given. One that is `mounted` must be readable as `provide_secret` says."""
        if not self.has_secret(secret_id) or self.secret(secret_id).reveal() != value:
            self.write(f"secrets/{secret_id}", value)
        self._set_mode(secret_id, _SECRET_MODE if mounted else 0o600)

    def _set_mode(self, secret_id: str, mode: int) -> None:
        path = self.folder / "secrets" / secret_id
        with _explained(path):
            _chmod(path, mode)

    def coming_secret(self, secret_id: str) -> str:
        """The value that a secret is to get: the one that was begun with, else a new one; kept until it is settled."""
        name = f"secrets/{secret_id}.next"
        path = self.folder / name
        if not path.exists():
            self.write(name, secrets.token_urlsafe(32))
        with _explained(path):
            return path.read_text(encoding="utf-8")

    def has_coming_secret(self, secret_id: str) -> bool:
        return (self.folder / "secrets" / f"{secret_id}.next").exists()

    def settle_secret(self, secret_id: str) -> None:
        """Make the coming value the secret's own, in the same file: a container sees that file, not its name."""
        path = self.folder / "secrets" / secret_id
        pending = path.with_name(f"{secret_id}.next")
        with _explained(path):
            path.chmod(0o600)
            path.write_text(pending.read_text(encoding="utf-8"), encoding="utf-8")
            path.chmod(_SECRET_MODE)
            pending.unlink()

    def trim_secret(self, secret_id: str) -> bool:
        """Cut the newline that an editor or `echo` left at the end of a secret, and say whether there was one.

        Some programs that read the file would take it as part of the password. The file stays the same one:
        a container sees that file, not its name.
        """
        path = self.folder / "secrets" / secret_id
        if not self.has_secret(secret_id):
            return False
        with _explained(path):
            raw = path.read_bytes()
            value = _trimmed(raw)
            if value == raw:
                return False
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(0o600)
            os.truncate(path, len(value))
            path.chmod(mode)
        return True

    def secret(self, secret_id: str) -> Secret:
        path = self.folder / "secrets" / secret_id
        with _explained(path):
            return Secret(_trimmed(path.read_bytes()).decode("utf-8"))

    def delete(self) -> None:
        """Forget the instance; hold the lock, whose file and folder then go with its release."""
        with _explained(self.folder):
            for path in self.folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name not in (_LOCK, _HOLDER):
                    path.unlink()

    @contextlib.contextmanager
    def locked(self, progress: Progress | None = None) -> Iterator[None]:
        """Hold the lock of the instance. It leaves no folder of an instance that does not exist.

        Waits at most a minute for each command that has it meanwhile, and says which is the first; then raises
        `instance-busy`.
        """
        deadline, notice = time.monotonic() + _LOCK_TIMEOUT, time.monotonic() + _LOCK_NOTICE
        waited_for: tuple[int, float] | None = None
        while True:
            with self._attempt() as held:
                if held:
                    try:
                        self._note_owner()
                        yield
                    finally:
                        self._clean_up()
                    return
            if (holder := self._noted()) not in (None, waited_for):
                # Of many that wait, each has its turn.
                waited_for, deadline = holder, time.monotonic() + _LOCK_TIMEOUT
            if time.monotonic() >= deadline:
                raise self._busy()
            if progress is not None and time.monotonic() >= notice:
                progress.step(f"waiting for {self._holder()}")
                progress = None
            threading.Event().wait(_LOCK_INTERVAL)

    @contextlib.contextmanager
    def locked_if_free(self) -> Iterator[bool]:
        """Hold the lock of the instance for the block unless another command has it, and say whether."""
        with self._attempt() as held:
            try:
                yield held
            finally:
                if held:
                    self._clean_up()

    @contextlib.contextmanager
    def _attempt(self) -> Iterator[bool]:
        """Try to hold the lock for the block, and say whether that succeeded."""
        with contextlib.ExitStack() as stack:
            held = False
            with _explained(self.folder), contextlib.suppress(FileNotFoundError):
                # The last owner may delete the folder between the two.
                self._make_private(self.folder)
                held = stack.enter_context(attempt(self.folder / _LOCK))
            yield held

    def _note_owner(self) -> None:
        """Write down for those that wait which command it is; on a full disk they learn less."""
        noted = json.dumps({"process": os.getpid(), "since": time.time()})
        with contextlib.suppress(OSError):
            (self.folder / _HOLDER).write_text(noted, encoding="utf-8")

    def _clean_up(self) -> None:
        """Before the lock is released: delete the note of its owner, and the folders if there is no instance."""
        with contextlib.suppress(OSError):
            (self.folder / _HOLDER).unlink()
        with _explained(self.folder):
            if not self.exists():
                (self.folder / _LOCK).unlink(missing_ok=True)
                # From here on another command may be making the folder of a new instance.
                with contextlib.suppress(OSError):
                    self.folder.rmdir()
                self._remove_root()

    def _remove_root(self) -> None:
        """Delete the folder of all instances if there is none, and never one that another command begins in it."""
        root = self.folder.parent
        ignore = root / _IGNORE
        with contextlib.suppress(FileNotFoundError):
            if [path.name for path in root.iterdir()] != [_IGNORE] or ignore.read_text("utf-8") != _IGNORE_ALL:
                return
            ignore.unlink()
            try:
                root.rmdir()
            except OSError:
                ignore.write_text(_IGNORE_ALL, encoding="utf-8")

    def _busy(self) -> StackError:
        return StackError(
            "instance-busy",
            f"{self._holder()} is still changing this instance ({self.folder})",
            "wait for it to end, or end it, and run this command again",
        )

    def _holder(self) -> str:
        """Who has the lock. It may have it since just now, and not have said so yet."""
        if (noted := self._noted()) is None:
            return "another command"
        process, since = noted
        described = describe(process, until=since)
        return f"{described}, since {datetime.fromtimestamp(since):%H:%M:%S}," if described else "another command"

    def _noted(self) -> tuple[int, float] | None:
        """Return the process that has the lock, and since when, if that is noted."""
        try:
            noted = json.loads((self.folder / _HOLDER).read_text(encoding="utf-8"))
            return int(noted["process"]), float(noted["since"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def make_folder(self, name: str) -> None:
        """Make a folder that only the owner can enter, and the one that it is in."""
        path = self.folder / name
        with _explained(path):
            self._make_private(path.parent)
            path.mkdir(mode=0o700, exist_ok=True)

    def _make_private(self, folder: Path) -> None:
        """Make the folders from the state's root down to `folder`, mode 0700, ignored by git."""
        for _ in range(_TRIES):
            # A command that ends may delete one between two steps.
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                return self._make_folders(folder)
        return self._make_folders(folder)

    def _make_folders(self, folder: Path) -> None:
        root = self.folder.parent
        root.mkdir(parents=True, exist_ok=True)
        for path in (root, self.folder, folder):
            path.mkdir(exist_ok=True)
            _chmod(path, 0o700)
        # Last, for nothing deletes the root from here on.
        if not (root / _IGNORE).exists():
            (root / _IGNORE).write_text(_IGNORE_ALL, encoding="utf-8")


def _explained(path: Path) -> contextlib.AbstractContextManager[None]:
    return files.explaining("state-unusable", path, _HINT)


def _text(path: Path) -> str | None:
    """Read a file; None if there is none."""
    with _explained(path):
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


def _chmod(path: Path, mode: int) -> None:
    """What has its mode already may be on a read-only file system."""
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def _trimmed(raw: bytes) -> bytes:
    """Leave out the newlines at the end of a secret, unless it is nothing else: that would be an empty password."""
    return raw.rstrip(b"\r\n") or raw


def _unusable(path: Path, problem: str, hint: str) -> StackError:
    return StackError("state-unusable", f"{path}: {problem}", hint)
