"""The command line without the time of its start: a process that has imported all of it forks for each command.

Half of what a short command takes of a processor is for imports, and the tests run thousands of them. Each is a process
of its own all the same, with its own arguments, folder, environment and streams. That it starts from nothing too is
tested wherever a command is started as users do: in the background, on a terminal, from the README and from a wheel.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import functools
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
PROGRAM = str(ROOT / "stackctl.py")


def run(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: str, limit: float
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` of `stackctl.py` with these words; if it takes longer than `limit`, tell where it is."""
    ours, theirs = socket.socketpair()
    given, out, err = os.pipe(), os.pipe(), os.pipe()
    with ours, theirs:
        socket.send_fds(_server(), [b"."], [theirs.fileno(), given[0], out[1], err[1]])
        for end in (given[0], out[1], err[1]):
            os.close(end)
        theirs.close()
        ours.settimeout(limit)
        readers = [_Reader(end[0]) for end in (out, err)]
        with ours.makefile("rw", encoding="utf-8") as answers:
            answers.write(json.dumps([list(words), str(folder), dict(environment)]) + "\n")
            answers.flush()
            process = int(answers.readline())
            with contextlib.suppress(BrokenPipeError), os.fdopen(given[1], "w", encoding="utf-8") as typed:
                typed.write(stdin)
            try:
                code = int(answers.readline())
            except TimeoutError:
                os.kill(process, signal.SIGABRT)
                out_text, err_text = (reader.text(limit) for reader in readers)
                raise AssertionError(f"{words} goes on after {limit:g} s:\n{out_text}\n{err_text}") from None
        return subprocess.CompletedProcess(words, code, *(reader.text(limit) for reader in readers))


class _Reader(threading.Thread):
    """All that is written into a pipe, until nobody holds its other end."""

    def __init__(self, end: int) -> None:
        super().__init__(daemon=True)
        self._end = end
        self._text = ""
        self.start()

    def run(self) -> None:
        with os.fdopen(self._end, encoding="utf-8") as stream:
            self._text = stream.read()

    def text(self, limit: float) -> str:
        self.join(limit)
        assert not self.is_alive(), "somebody still holds a stream of a command that has ended"
        return self._text


@functools.cache
def _server() -> socket.socket:
    """The way to ask the one server of this process, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server = subprocess.Popen(
        [sys.executable, __file__], stdin=theirs.fileno(), stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir()
    )
    theirs.close()

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


def _serve() -> None:
    control = socket.socket(fileno=os.dup(0))
    _import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        _, files, _, _ = socket.recv_fds(control, 1, 4)
        if not files:
            return
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(socket.socket(fileno=files[0]), files[1:])
        for file in files:
            os.close(file)


def _import_all() -> None:
    """As the program itself, whose name tells it to take care of Ctrl-C."""
    sys.argv = [PROGRAM]
    sys.path[0] = str(ROOT)
    importlib.import_module("stackctl")
    importlib.import_module("python_on_whales")
    for module in pkgutil.walk_packages(importlib.import_module("stack").__path__, "stack."):
        importlib.import_module(module.name)
    gc.freeze()


def _answer(asked: socket.socket, streams: Sequence[int]) -> NoReturn:
    with asked, asked.makefile("rw", encoding="utf-8") as answers:
        words, folder, environment = json.loads(answers.readline())
        process = os.fork()
        if process == 0:
            _become(words, folder, environment, streams)
        for stream in streams:
            os.close(stream)
        answers.write(f"{process}\n")
        answers.flush()
        _, status = os.waitpid(process, 0)
        with contextlib.suppress(BrokenPipeError):
            answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
            answers.flush()
    os._exit(0)


def _become(words: list[str], folder: str, environment: Mapping[str, str], streams: Sequence[int]) -> NoReturn:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[1:1] = [folder for folder in environment.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.argv = [PROGRAM, *words]
    faulthandler.enable()
    code: object = 1
    try:
        code = importlib.import_module("stackctl").main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    for text in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            text.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _serve()
