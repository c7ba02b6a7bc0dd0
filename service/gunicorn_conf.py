"""How gunicorn serves the service.

    gunicorn -c service/gunicorn_conf.py 'service:create_app()'

BIND (127.0.0.1) and PORT (8000) say where, WEB_CONCURRENCY (2) how many worker processes there are. Give this file
by its path: as `python:service.gunicorn_conf` it would be read after the metrics library, which is too late for it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

# Heartbeats and metrics are files that are written all the time: they belong in memory.
_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()  # noqa: S108 # mkdtemp below

bind = f"{os.environ.get('BIND', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
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


# The metrics of all workers meet in files. The library looks for the variable when it is first imported.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="visit-counter-", dir=_memory)


def child_exit(server: Any, worker: Any) -> None:
    """A worker that is gone counts in the totals, but not in the states."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Leave nothing behind."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
