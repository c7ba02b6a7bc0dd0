"""Run the docker client with a time limit; report its failures as errors of this project."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from stack.capabilities import Completed
from stack.engines import process
from stack.engines.docker import failures
from stack.engines.docker.arguments import title
from stack.errors import StackError

# A component may take its whole grace to stop.
STOP_TIMEOUT = 300.0


def find() -> str:
    """Return the path of the docker client. Raises `docker-client` if there is none."""
    client = shutil.which("docker")
    if client is None:
        raise failures.client_missing()
    return client


def command(arguments: Sequence[str]) -> list[str]:
    return [find(), *arguments]


def environment(host: str | None = None) -> Mapping[str, str]:
    """Return the user's own environment, for contexts and proxies, without what would change the project.

    With it the client reaches the daemon of the server `host`, or the one that the user's environment means.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    if host is not None:
        # Only for a server is it loaded.
        from stack.engines.docker import connection

        own = {name: value for name, value in own.items() if name not in connection.CLIENT_VARIABLES}
        own["DOCKER_HOST"] = f"unix://{connection.socket_of(host)}"
    return own | {
        # An attestation contains the time: every build would make a new image, and each `up` a new container.
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        # Only attestations contain what it would ask Git for.
        "BUILDX_GIT_INFO": "0",
        "BUILDKIT_PROGRESS": "plain",
        # The older builder reads no `NAME.dockerignore`, only the `.dockerignore` of the source.
        "DOCKER_BUILDKIT": "1",
        "COMPOSE_ANSI": "never",
    }


def run(
    arguments: Sequence[str], timeout: float, variables: Mapping[str, str] | None = None, host: str | None = None
) -> Completed:
    """Run a command to its end, with `variables` in its environment; the daemon is as `environment` says.

    Raises `docker-daemon` if it takes longer than `timeout` seconds.
    """
    try:
        return process.run(command(arguments), {**environment(host), **(variables or {})}, timeout)
    except TimeoutError as error:
        raise lost(host) or failures.daemon_silent(str(error)) from error


def read(
    arguments: Sequence[str], timeout: float, variables: Mapping[str, str] | None = None, host: str | None = None
) -> str:
    """Return the standard output of a command. If it fails, raises the error that its standard error stands for."""
    answer = run(arguments, timeout, variables, host)
    if not answer.ok:
        raise failed(title(arguments), answer.stderr or answer.stdout, host)
    return answer.stdout


def failed(what: str, text: str, host: str | None = None) -> StackError:
    return lost(host) or failures.classify(
        text, "docker-failed", f"`docker {what}` failed", "read Docker's own words above; --debug shows more"
    )


def check_connection(host: str | None) -> None:
    """Raise `connection-lost` if the connection to a server was cut."""
    if (error := lost(host)) is not None:
        raise error


def lost(host: str | None) -> StackError | None:
    """Return the error that the connection to a server was cut, if it was: whatever else failed is for that."""
    if host is None:
        return None
    from stack.engines.docker import connection, ssh

    return ssh.cut(host) if connection.is_cut(host) else None
