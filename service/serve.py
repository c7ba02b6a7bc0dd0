"""Serve the service with granian, from any working folder.

    python service/serve.py

BIND (127.0.0.1) and PORT (8000) say where, WEB_CONCURRENCY (2) how many worker processes there are.
"""

from __future__ import annotations

import ipaddress
import logging
import logging.config
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import MPServer

if TYPE_CHECKING:
    from flask import Flask

# Of a worker, each made when needed. Most wait for the one that commits for all: the more, the larger a batch.
THREADS = 64
GRACE = 8  # seconds for requests under way; `docker stop` kills after 10
METRICS = "PROMETHEUS_MULTIPROC_DIR"

_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "service.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "root": {"level": "INFO", "handlers": ["stderr"]},
    "loggers": {"_granian": {}},
}

_log = logging.getLogger("service")


def main() -> None:
    """Serve until a signal says to end. A wrong configuration is one line, and the exit code 1."""
    if sys.platform == "linux":
        # Workers share what was imported before them; from Python 3.14 on each would start an interpreter and import
        # it again. Not on macOS, whose libraries do not bear a fork.
        multiprocessing.set_start_method("fork")
    with _metrics_folder():
        logging.config.dictConfig(_LOGGING)
        try:
            server = _configured()
        except ValueError as error:
            _log.critical(str(error))
            sys.exit(1)
        server.serve(target_loader=_load_in_worker, wrap_loader=False)


def _configured() -> _Server:
    """Raises ValueError, whose message says what is wrong."""
    from service.config import Config

    Config.from_environment(os.environ)  # raises ConfigError, once and not in every worker
    host, port = os.environ.get("BIND") or "127.0.0.1", _number("PORT", 8000, most=65535)
    workers = _number("WEB_CONCURRENCY", 2, most=1024)
    _check_address(host, port)
    server = _Server(
        "service:create_app",
        host,
        port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=workers,
        blocking_threads=THREADS,
        respawn_failed_workers=True,
        workers_kill_timeout=GRACE,
        log_level=LogLevels.error,
        log_dictconfig=_LOGGING,
    )

    @server.on_startup
    def started() -> None:
        # Before this it only advises to have fewer threads.
        logging.getLogger("_granian").setLevel(logging.INFO)
        _log.info("listening on %s, port %d", host, port)
        signal.signal(signal.SIGQUIT, server.signal_handler_interrupt)

    return server


class _Server(MPServer):
    """One whose workers hear that they are to end at whatever moment they are told."""

    def signal_handler_interrupt(self, *_: object) -> None:
        if os.getpid() != self.pid:
            os._exit(0)  # forked, and still loading the service: until it has, it answers to its parent's handlers
        super().signal_handler_interrupt()  # type: ignore[no-untyped-call]
        threading.Thread(target=self._tell_again, daemon=True).start()

    def _tell_again(self) -> None:
        """A worker that is told just before it waits for that would hear nothing, and be killed after GRACE."""
        pause = threading.Event()
        while workers := [worker for worker in self.wrks if worker.is_alive()]:  # type: ignore[no-untyped-call]
            pause.wait(0.2)
            for worker in workers:
                worker.terminate()  # type: ignore[no-untyped-call]


def _load_in_worker() -> Flask:
    from service import create_app

    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _forget_the_dead(Path(os.environ[METRICS]))
    return create_app()


def _end_with(parent: int) -> None:
    """End this worker when its parent was killed: it would go on and share the port with whoever comes next."""
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(0.2)
    os.kill(os.getpid(), signal.SIGTERM)


def _forget_the_dead(folder: Path) -> None:
    """A worker that is gone counts in the totals, but not in the states."""
    from prometheus_client.multiprocess import mark_process_dead

    for process in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*.db")}:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            mark_process_dead(process)  # type: ignore[no-untyped-call]


def _number(name: str, default: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= most):
        raise ValueError(f"{name} is {text!r}, which is not a number from 1 to {most}")
    return int(text)


def _check_address(host: str, port: int) -> None:
    """Raises ValueError where one can't listen. Granian's workers share a port, and would with another granian too."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"BIND is {host!r}, which is not an IP address") from None
    with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended don't matter
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ValueError(f"cannot listen on {host}, port {port}: {error.strerror}") from None


@contextmanager
def _metrics_folder() -> Iterator[None]:
    """The metrics of all workers meet in files, for which their library looks when the service is first imported.

    A folder that was given is its giver's; one made here is gone after any end but SIGKILL.
    """
    if METRICS in os.environ:
        yield
        return
    # They are written all the time: they belong in memory.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 # a folder of its own in there
    # Not a TemporaryDirectory: a worker that ends in order would remove it too.
    os.environ[METRICS] = tempfile.mkdtemp(prefix=f"visit-counter-{os.getpid()}-", dir=memory)
    try:
        yield
    finally:
        shutil.rmtree(os.environ[METRICS], ignore_errors=True)


if __name__ == "__main__":
    # Python looks for modules beside this file; the package `service` is found one folder up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    main()
