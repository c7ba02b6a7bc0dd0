"""How gunicorn serves the service.

    gunicorn -c service/gunicorn_conf.py 'service:create_app()'

BIND (127.0.0.1) and PORT (8000) say where, WEB_CONCURRENCY (2) how many worker processes there are. Give this file
by its path: as `python:service.gunicorn_conf` it would be read after the metrics library, which is too late for it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

# Heartbeats and metrics are files that are written all the time: they belong in memory.
_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()  # noqa: S108 # mkdtemp below


def _number(name: str, default: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= most):
        sys.exit(f"{name} is {text!r}, which is not a number from 1 to {most}")
    return int(text)


# The package `service` is found from any working folder, its own included.
chdir = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
bind = f"{os.environ.get('BIND') or '127.0.0.1'}:{_number('PORT', 8000, most=65535)}"
workers = _number("WEB_CONCURRENCY", 2, most=1024)
worker_class = "gthread"
threads = 8
worker_tmp_dir = _memory
keepalive = 5
timeout = 30
graceful_timeout = 8  # seconds for requests under way; `docker stop` kills after 10
control_socket_disable = True
proc_name = "visit-counter"


logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "service.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "root": {"level": "INFO", "handlers": ["stderr"]},
    "loggers": {"gunicorn.error": {"level": "INFO", "propagate": True}},
}


class logger_class(Logger):  # type: ignore[misc]  # gunicorn looks for this name
    """Logs events and not every request: /metrics tells more about those, for less."""

    def access(self, *arguments: Any) -> None:
        """Nothing, and at no cost."""


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # and not a worker, which inherits what is to be done at exit
        shutil.rmtree(folder, ignore_errors=True)


# The metrics of all workers meet in files. The library looks for the variable when it is first imported.
# A folder that was given is its giver's; one made here is gone after any end but SIGKILL.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=f"visit-counter-{os.getpid()}-", dir=_memory)
    atexit.register(_remove, os.environ["PROMETHEUS_MULTIPROC_DIR"], os.getpid())


def on_starting(server: Any) -> None:
    """Bad configuration is one line from here, and not a traceback from every worker."""
    from service.config import Config, ConfigError

    try:
        Config.from_environment(os.environ)
    except ConfigError as error:
        server.log.critical(str(error))
        sys.exit(1)


def child_exit(server: Any, worker: Any) -> None:
    """A worker that is gone counts in the totals, but not in the states."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
