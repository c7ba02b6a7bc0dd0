"""Run the commands of an engine: a list of arguments, no standard input, a time limit, an end on Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from stack.capabilities import Completed
from stack.errors import StackError

# How long a command may take to end after it was asked to, before it is killed.
_GRACE = 10.0
_KEPT_LINES = 400


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


def ask(component: str, command: Sequence[str], environment: Mapping[str, str], limit: float | None) -> Completed:
    """Run a command in or beside a component. Raises `no-answer` after `limit` seconds."""
    try:
        return run(command, environment, limit)
    except TimeoutError as error:
        raise StackError(
            "no-answer",
            f"{component} gave no answer in {limit:g} s",
            f"look at `stackctl status` and `stackctl logs {component}`",
        ) from error


def attach(command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None, grace: float = 0) -> int:
    """Run a command on this process's own terminal or pipes and give its exit code, 128 + n if signal n ended it.

    Ctrl-C reaches the command, which is in the same process group, and is left to it. If this process is to end
    otherwise, the command has `grace` seconds to end itself.
    """
    with _interrupts_left_to_the_command(), contextlib.ExitStack() as opened:
        with held_back(signal.SIGTERM, signal.SIGHUP) as came:
            process = opened.enter_context(subprocess.Popen(list(command), env=dict(environment), cwd=folder))
        try:
            for number in came[:1]:
                signal.raise_signal(number)
            exit_code = process.wait()
        except BaseException:
            if grace:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(grace)
            process.kill()
            raise
    return exit_code if exit_code >= 0 else 128 - exit_code


@contextlib.contextmanager
def held_back(*numbers: signal.Signals) -> Iterator[list[int]]:
    """Note signals during the block instead of handling them, and yield the list of those that came.

    Between the start of a process and its name one would leave that process behind.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        for number in numbers:
            signal.signal(number, before[number])


def stream(command: Sequence[str], environment: Mapping[str, str], write: Callable[[str], None]) -> int:
    """Run a command and hand each line of its standard output to `write`; otherwise as `attach`.

    Ends it, with exit code 0, if `write` raises `BrokenPipeError`.
    """
    with (
        _interrupts_left_to_the_command(),
        subprocess.Popen(list(command), stdout=subprocess.PIPE, env=dict(environment)) as process,
    ):
        assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
        try:
            for line in process.stdout:
                write(_text(line).removesuffix("\n"))
        except BrokenPipeError:
            process.terminate()
            return 0
        except BaseException:
            # It may write nothing for hours, and would not notice that nothing reads it.
            process.terminate()
            raise
        exit_code = process.wait()
    return exit_code if exit_code >= 0 else 128 - exit_code


@contextlib.contextmanager
def _interrupts_left_to_the_command() -> Iterator[None]:
    """Ignore Ctrl-C by a handler, not by SIG_IGN: the command would inherit that."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Pipe:
    """A command whose standard input or output, or both, are ours, as bytes. Leaving the `with` block ends it.

    `input` and `output` exist if they were asked for. It has a session of its own, as `CommandJob` has. What it
    writes to standard error is kept: its last lines.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        feed: bool = False,
        take: bool = False,
        log: IO[bytes] | None = None,
    ) -> None:
        """Send all that it writes to `log` instead, but for what is taken."""
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE if take else (log or subprocess.DEVNULL),
            stderr=log or subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def process(self) -> int:
        """Its pid."""
        return self._process.pid

    @property
    def input(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        return self._process.stdin

    @property
    def output(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        return self._process.stdout

    @property
    def complaint(self) -> str:
        """What it wrote to standard error."""
        return "\n".join(self._lines.copy())

    def ended(self) -> bool:
        return self._process.poll() is not None

    def finish(self, limit: float | None = None) -> int:
        """Close its input, wait for its end, and return its exit code. Raises `TimeoutError`."""
        self._close_input()
        try:
            exit_code = self._process.wait(limit)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"it did not end in {limit:g} s") from None
        self._reader.join(_GRACE)
        return exit_code

    def end(self) -> None:
        """Interrupt it, and kill it if it does not heed that."""
        _end(self._process)

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            # It may have ended without reading all.
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def _read(self) -> None:
        if self._process.stderr is not None:
            with self._process.stderr as stream:
                for line in stream:
                    self._lines.append(_text(line).rstrip())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_input()
        if self._process.stdout is not None:
            self._process.stdout.close()
        # With its input closed it ends by itself, in its own way.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        _end(self._process)
        self._reader.join(_GRACE)


class Job(Protocol):
    """Work that goes on while its caller watches. Leaving the `with` block ends it if it still runs."""

    def wait(self, seconds: float) -> int | None:
        """Return its exit code, or None if it still runs after so many seconds."""

    @property
    def output(self) -> str:
        """The last lines that it wrote, of both streams."""

    def explain(self) -> StackError:
        """Give the cause of its failure, after it ended with another exit code than 0."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class FinishedJob:
    """Work that was done before it could be watched."""

    output = ""

    def wait(self, seconds: float) -> int:
        return 0

    def explain(self) -> StackError:
        raise AssertionError("it did not fail")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: it has ended."""


class CommandJob:
    """A command that runs while its caller watches; see `Job`.

    It has a session of its own: a Ctrl-C on the terminal reaches the caller, which decides.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], explain: Callable[[str], StackError]
    ) -> None:
        """Take `explain`, which finds the cause of a failure in the last lines of the output."""
        self._explain = explain
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

    def explain(self) -> StackError:
        return self._explain(self.output)

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


class StartPipe(Protocol):
    """Starts a command of the docker client at a certain daemon."""

    def __call__(self, words: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe: ...
