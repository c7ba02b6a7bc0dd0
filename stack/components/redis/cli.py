"""A small redis-cli for `stackctl exec`, where none is in a container: a script on top of redis-py.

It writes what the real one writes to a pipe. The port and the file with the password come from the environment:
STACKCTL_REDIS_PORT and STACKCTL_REDIS_PASSWORD_FILE. A server that answers on the socket STACKCTL_REDIS_SOCKET is asked
there, without a password.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, ConnectionError, RedisError, ResponseError
from redis.retry import Retry

# Like the real one it waits for an answer as long as it takes: BLPOP may.
_CONNECT_TIMEOUT = 5.0


def main(arguments: list[str]) -> int:
    options = _read(arguments)
    words: list[str | bytes] = list(options.command)
    if options.x:
        words.append(sys.stdin.buffer.read())
    connection = _connection(options)
    if words:
        return _ask(connection, words, options)
    if sys.stdin.isatty():
        return _prompt(connection, options)
    return max((_ask(connection, shlex.split(line), options) for line in sys.stdin if line.strip()), default=0)


def _read(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="redis-cli", add_help=False, allow_abbrev=False)
    parser.add_argument("--help", action="help", help="show this and exit")
    parser.add_argument("-h", metavar="HOST", default="127.0.0.1")
    parser.add_argument("-p", metavar="PORT", type=int, default=int(os.environ.get("STACKCTL_REDIS_PORT", "6379")))
    parser.add_argument("-n", metavar="DATABASE", type=int, default=0)
    parser.add_argument("-e", action="store_true", help="end with an error where the server answers one")
    parser.add_argument("-x", action="store_true", help="the last word of the command is standard input")
    parser.add_argument("--raw", action="store_true", help="write values as they are (so it does to a pipe)")
    parser.add_argument("--json", action="store_true", help="write one line of JSON")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args(arguments)


def _connection(options: argparse.Namespace) -> AbstractConnection:
    file, socket = os.environ.get("STACKCTL_REDIS_PASSWORD_FILE"), os.environ.get("STACKCTL_REDIS_SOCKET", "")
    if os.path.exists(socket):
        return UnixDomainSocketConnection(  # type: ignore[abstract, no-untyped-call]
            path=socket, db=options.n, protocol=3 if options.json else 2, retry=Retry(NoBackoff(), 0)
        )
    return Connection(  # type: ignore[no-untyped-call]
        host=options.h,
        port=options.p,
        db=options.n,
        password=Path(file).read_text(encoding="utf-8").strip() if file else None,
        protocol=3 if options.json else 2,
        socket_connect_timeout=_CONNECT_TIMEOUT,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
    )


def _ask(connection: AbstractConnection, words: Sequence[str | bytes], options: argparse.Namespace) -> int:
    """Send a command and write the answer. Gives the exit code."""
    try:
        connection.connect()  # type: ignore[no-untyped-call]
    except AuthenticationError as error:
        return _complain(f"AUTH failed: {said(error)}")
    except (RedisError, OSError) as error:
        return _complain(f"Could not connect to Redis at {options.h}:{options.p}: {_reason(error)}")
    try:
        connection.send_command(*words, check_health=False)  # type: ignore[no-untyped-call]
        answer = connection.read_response(disable_decoding=True)
    except ResponseError as error:
        if options.e:
            return _complain(said(error))
        answer = error
    except (ConnectionError, OSError) as error:
        # A server that was told to end gives no answer.
        return 0 if str(words[0]).upper() == "SHUTDOWN" else _complain(f"Error: {_reason(error)}")
    _write(as_json(answer) if options.json else as_text(answer))
    return 0


def _prompt(connection: AbstractConnection, options: argparse.Namespace) -> int:
    """Commands one by one, until `exit`, `quit` or the end of the input."""
    while True:
        try:
            line = input(f"{options.h}:{options.p}> ")
            words = shlex.split(line)
        except EOFError:
            return 0
        except ValueError:
            _complain("Invalid argument(s)")
            continue
        if words and words[0].lower() in ("exit", "quit"):
            return 0
        if words:
            _ask(connection, words, options)


def as_text(answer: object) -> bytes:
    """An answer as redis-cli writes it to a pipe: values as they are, those of a list on a line each."""
    match answer:
        case None:
            return b""
        case bytes():
            return answer
        case Exception():
            return f"{said(answer)}\n".encode()
        case list() | tuple():
            return b"\n".join(as_text(item) for item in answer)
        case _:
            return str(answer).encode()


def as_json(answer: object) -> bytes:
    """An answer as `redis-cli --json` writes it."""
    text = json.dumps(_plain(answer), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", errors="surrogateescape")


def said(error: Exception) -> str:
    """An error in the server's words; redis-py takes the first one, like `ERR`, away where it knows it."""
    return " ".join(filter(None, (getattr(error, "status_code", None), str(error))))


def _plain(answer: object) -> Any:
    match answer:
        case bytes():
            return answer.decode("utf-8", errors="surrogateescape")
        case Exception():
            return f"error:{said(answer)}"
        case Mapping():
            return {str(_plain(key)): _plain(value) for key, value in answer.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in answer]
        case _:
            return answer


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def _complain(problem: str) -> int:
    sys.stderr.write(f"{problem}\n")
    return 1


def _reason(error: Exception) -> str:
    """`Connection refused`, out of `Error 111 connecting to 127.0.0.1:6379. Connection refused.`"""
    return str(error).rpartition(". ")[2].rstrip(".") or type(error).__name__


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
