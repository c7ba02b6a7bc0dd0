"""Serve the service with granian, from any working directory.

    python service/serve.py

BIND (127.0.0.1) and PORT (8000) set the address, WEB_CONCURRENCY (2) the number of worker processes.
"""

from __future__ import annotations

import gc
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

# Per worker, each started when needed. Most wait for the one that commits for all: the more, the larger a batch.
THREADS = 64
GRACE = 8  # seconds for requests in flight; `docker stop` kills after 10
METRICS = "PROMETHEUS_MULTIPROC_DIR"

_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "service.observability.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "root": {"level": "INFO", "handlers": ["stderr"]},
    "loggers": {"_granian": {}},
}

_log = logging.getLogger("service")


def main() -> None:
    """Serve until a signal to stop. Report a wrong configuration in one line and exit 1."""
    if sys.platform == "linux":
        # Forked workers share what was imported before; from Python 3.14 on each would by default start an interpreter
        # and import it again. Not on macOS, whose libraries do not survive a fork.
        multiprocessing.set_start_method("fork")
    with _metrics_directory():
        logging.config.dictConfig(_LOGGING)
        # What is imported stays, and to search it for garbage would take a twentieth of the start.
        gc.disable()
        try:
            server = _build_server()
        except ValueError as error:
            _log.critical(str(error))
            sys.exit(1)
        gc.freeze()
        gc.enable()
        server.serve(target_loader=_load_in_worker, wrap_loader=False)


def _build_server() -> _Server:
    """Build the server from the environment. Raises ValueError, whose message says what is wrong."""
    from service.config import Config

    Config.from_environment(os.environ)  # raises ConfigError once, and not in every worker
    host, port = os.environ.get("BIND") or "127.0.0.1", _number("PORT", 8000, most=65535)
    workers = _number("WEB_CONCURRENCY", 2, most=1024)
    claim = _claim(host, port)
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
    server.claim = claim

    @server.on_startup
    def started() -> None:
        # Up to here it only logs advice to use fewer threads.
        logging.getLogger("_granian").setLevel(logging.INFO)
        _log.info("listening on %s, port %d", host, port)
        signal.signal(signal.SIGQUIT, server.signal_handler_interrupt)

    return server


class _Server(MPServer):
    """A server whose workers receive SIGTERM at any point of their life. `claim` keeps its address while it is open."""

    claim: socket.socket | None = None

    def signal_handler_interrupt(self, *_: object) -> None:
        if os.getpid() != self.pid:
            os._exit(0)  # a fork that is still loading the service has its parent's handlers
        super().signal_handler_interrupt()  # type: ignore[no-untyped-call]
        threading.Thread(target=self._repeat_sigterm, daemon=True).start()

    def _repeat_sigterm(self) -> None:
        """Repeat SIGTERM: a worker signalled before it installs its handler would miss it and be killed after GRACE."""
        pause = threading.Event()
        while workers := [worker for worker in self.wrks if worker.is_alive()]:  # type: ignore[no-untyped-call]
            pause.wait(0.2)
            for worker in workers:
                worker.terminate()  # type: ignore[no-untyped-call]


def _load_in_worker() -> Flask:
    from service import create_app

    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    _drop_dead_workers(Path(os.environ[METRICS]))
    return create_app()


def _exit_with_parent(parent: int) -> None:
    """Stop this worker if its parent is killed: else it would share the port with the next server."""
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(0.2)
    os.kill(os.getpid(), signal.SIGTERM)


def _drop_dead_workers(directory: Path) -> None:
    """Drop the gauges of workers that are gone; their counters stay in the totals."""
    from prometheus_client.multiprocess import mark_process_dead

    for process in {int(file.stem.rpartition("_")[2]) for file in directory.glob("gauge_live*.db")}:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            mark_process_dead(process)  # type: ignore[no-untyped-call]


def _number(name: str, default: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= most):
        raise ValueError(f"{name} is {text!r}, which is not a number from 1 to {most}")
    return int(text)


def _claim(host: str, port: int) -> socket.socket | None:
    """Claim an address for this server and its workers while the socket is open. Raises ValueError if it is taken.

    granian's workers share the port, and would with another server too. One that listens shows by the port itself; one
    that is only about to, by a name in the kernel, where there are such names.
    """
    claim = None
    if sys.platform == "linux":
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0visit-counter {host} {port}")
        except OSError as error:
            claim.close()
            raise _taken(host, port, error) from None
    _check_address(host, port)
    return claim


def _taken(host: str, port: int, error: OSError) -> ValueError:
    return ValueError(f"cannot listen on {host}, port {port}: {error.strerror}")


def _check_address(host: str, port: int) -> None:
    """Raise ValueError if something else listens there, or this is no address of this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"BIND is {host!r}, which is not an IP address") from None
    with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore connections that have ended
        try:
            listener.bind((host, port))
        except OSError as error:
            raise _taken(host, port, error) from None


@contextmanager
def _metrics_directory() -> Iterator[None]:
    """Provide the directory in which all workers write their metrics; their library looks for it when it is imported.

    One that the environment names is kept; one made here is removed at any exit but by SIGKILL.
    """
    if METRICS in os.environ:
        yield
        return
    # The files are written all the time, so they belong in memory.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 # a new directory in there
    # Not a TemporaryDirectory: a worker that exits normally would remove it too.
    os.environ[METRICS] = tempfile.mkdtemp(prefix=f"visit-counter-{os.getpid()}-", dir=memory)
    try:
        yield
    finally:
        shutil.rmtree(os.environ[METRICS], ignore_errors=True)


if __name__ == "__main__":
    # Python looks for modules beside this file; the package `service` is one directory up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    main()
