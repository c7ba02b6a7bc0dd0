"""Run the commands of an engine: a list of arguments, no standard input, a time limit, an end on Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

# How long a command may take to end after it was asked to, before it is killed.
_GRACE = 10.0
_KEPT_LINES = 400


@dataclass(frozen=True)
class Completed:
    """How a command ended, and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


def run(command: Sequence[str], environment: Mapping[str, str], timeout: float | None) -> Completed:
    """Run a command to its end. Raises `FileNotFoundError` and `TimeoutError`."""
    with subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"`{' '.join(command[:3])} …` gave no answer in {timeout:g} s") from None
        finally:
            _end(process)
    return Completed(process.returncode, _text(stdout), _text(stderr))


def attach(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command on this process's own terminal or pipes and give its exit code, 128 + n if signal n ended it.

    Ctrl-C reaches the command, which is in the same process group, and is left to it.
    """
    with _interrupts_left_to_the_command():
        exit_code = subprocess.run(list(command), env=dict(environment), check=False).returncode
    return exit_code if exit_code >= 0 else 128 - exit_code


@contextlib.contextmanager
def _interrupts_left_to_the_command() -> Iterator[None]:
    """A handler, not SIG_IGN: the command would inherit that."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Job(Protocol):
    """Work that goes on while its caller looks on. Leaving the `with` block ends it if it still runs."""

    def wait(self, seconds: float) -> int | None:
        """Its exit code, or None when it still runs after so many seconds."""

    @property
    def output(self) -> str:
        """The last lines that it wrote, of both streams."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class FinishedJob:
    """Work that was done before anybody could look on."""

    output = ""

    def wait(self, seconds: float) -> int:
        return 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """There is nothing to end."""


class CommandJob:
    """A command that runs while its caller looks on; see `Job`.

    It has a session of its own: a Ctrl-C on the terminal reaches the caller, which decides.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was opened as a pipe
        with self._process.stdout as stream:
            for line in stream:
                self._lines.append(_text(line).rstrip())

    def wait(self, seconds: float) -> int | None:
        try:
            exit_code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(_GRACE)
        return exit_code

    @property
    def output(self) -> str:
        return "\n".join(self._lines.copy())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _end(self._process)
        self._reader.join(_GRACE)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a command and all it started, as Ctrl-C would; kill what does not heed it."""
    for ending in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")
