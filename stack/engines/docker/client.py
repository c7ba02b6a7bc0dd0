"""The docker client as a command: bounded in time, its failures in our words."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from stack.capabilities import Completed
from stack.engines import process
from stack.engines.docker import failures
from stack.errors import StackError

# A component may take its whole grace to stop.
STOP_TIMEOUT = 300.0


def find() -> str:
    """Raises `docker-client` where there is none."""
    client = shutil.which("docker")
    if client is None:
        raise failures.client_missing()
    return client


def command(arguments: Sequence[str]) -> list[str]:
    return [find(), *arguments]


def environment() -> Mapping[str, str]:
    """The user's own, for contexts and proxies, less what would change the project behind our back."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    return own | {
        # An attestation holds the time: every build would give a new image, and each `up` a new container.
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        # What it would ask Git for stands in attestations alone.
        "BUILDX_GIT_INFO": "0",
        "BUILDKIT_PROGRESS": "plain",
        # The builder before it leaves nothing out but what the folder's own .dockerignore names.
        "DOCKER_BUILDKIT": "1",
        "COMPOSE_ANSI": "never",
    }


def run(arguments: Sequence[str], timeout: float) -> Completed:
    """Raises `docker-daemon` when there is no answer in `timeout` seconds."""
    try:
        return process.run(command(arguments), environment(), timeout)
    except TimeoutError as error:
        raise failures.daemon_silent(str(error)) from error


def read(arguments: Sequence[str], timeout: float) -> str:
    """What a command writes. Raises what its complaint means when it fails."""
    answer = run(arguments, timeout)
    if not answer.ok:
        raise failed(" ".join(arguments[:2]), answer.stderr or answer.stdout)
    return answer.stdout


def failed(what: str, text: str) -> StackError:
    return failures.classify(
        text, "docker-failed", f"`docker {what}` failed", "read Docker's own words above; --debug shows more"
    )
