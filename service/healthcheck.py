"""Ask the service in this container for its health: exit 0 if it is healthy, else 1 with its response.

    python healthcheck.py

It runs every few seconds while the container does, so it imports next to nothing.
"""

from __future__ import annotations

import os
import socket
import sys

_TIMEOUT = 4.0  # seconds
_REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def main() -> None:
    try:
        response = _request(int(os.environ.get("PORT") or 8000))
    except OSError as error:
        sys.exit(f"no answer: {error}")
    head, _, body = response.partition("\r\n\r\n")
    status = head.partition("\r\n")[0].partition(" ")[2]
    if not status.startswith("200"):
        sys.exit(f"{status}: {body}")


def _request(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT) as connection:
        connection.sendall(_REQUEST)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode("utf-8", errors="replace")


if __name__ == "__main__":
    main()
