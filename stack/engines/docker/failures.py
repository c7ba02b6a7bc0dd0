"""Classify failures by the text that the docker client prints: pure, tested with texts as recorded."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from stack.errors import StackError
from stack.frozen import dataclass

_INSTALL = "install Docker Engine with its Compose plugin: https://docs.docker.com/engine/install/"


@dataclass(frozen=True)
class Known:
    """A message of a program as a regular expression, and what it means to the user.

    `{0}`, `{1}` in the message stand for the groups of the expression, or for what a caller puts there.
    """

    pattern: str
    code: str
    message: str
    hint: str


# The first that matches wins.
_KNOWN = (
    Known(
        r"permission denied while trying to connect to the docker (?:daemon socket|API)",
        "docker-permission",
        "this user may not talk to the Docker daemon",
        "add the user to the group `docker` and log in again (`sudo usermod -aG docker $USER`), or use rootless Docker",
    ),
    Known(
        r"Cannot connect to the Docker daemon|Is the docker daemon running|error during connect"
        r"|failed to connect to the docker API|connection refused.*docker\.sock|docker\.sock.*no such file",
        "docker-daemon",
        "the Docker daemon does not answer",
        "start it (`sudo systemctl start docker`, or Docker Desktop) and look with `docker version`",
    ),
    Known(
        r"context \"?([\w.-]+)\"?.*(?:not found|does not exist)|current context \"([\w.-]+)\" is not found",
        "docker-daemon",
        "the Docker context that is chosen does not exist",
        "list the contexts with `docker context ls` and choose one with `docker context use NAME`",
    ),
    Known(
        r"'compose' is not a docker command|unknown command: docker compose|unknown shorthand flag: 'p'"
        r"|unknown flag: --(?:short|project-name|file)|unknown shorthand flag: 'f'",
        "compose-missing",
        "the docker client has no Compose plugin",
        _INSTALL,
    ),
    Known(
        r"(?:port is already allocated|address already in use|ports are not available)",
        "port-taken",
        "a port that the stack publishes is taken",
        "choose another with `stackctl up --port PORT`",
    ),
    Known(
        r"no space left on device",
        "disk-full",
        "the disk of the Docker daemon is full",
        "look with `docker system df` and make room with `docker system prune` (it keeps volumes)",
    ),
    Known(
        r"no matching manifest for (\S+)",
        "image-unavailable",
        "an image does not exist for this machine's architecture ({0})",
        "name an image that exists for it",
    ),
    Known(
        r"no match for platform in manifest",
        "image-unavailable",
        "an image does not exist for this machine's architecture",
        "name an image that exists for it",
    ),
    Known(
        r"failed to resolve source metadata for|pull access denied for|failed to resolve reference"
        r"|manifest for \S+ not found|manifest unknown|No such image|failed to copy: httpReadSeeker"
        r"|Get \"https?://[^\"]*/v2/",
        "image-unavailable",
        "an image is neither on this machine nor can be pulled",
        "check the network and the image's name, or bring it with `docker load`",
    ),
    Known(
        r"Pool overlaps with other one|could not find an available, non-overlapping IPv4 address pool"
        r"|all predefined address pools have been fully subnetted",
        "network-exhausted",
        "Docker has given all of its address ranges to networks, and has none for another one",
        "remove networks that nothing uses with `docker network prune`, take down an instance that `stackctl ls` shows "
        "and you don't need, give Docker more ranges with `default-address-pools` in its `daemon.json`, or declare "
        "`Stack(…, isolated=False)`, which needs two networks and lets all components reach each other",
    ),
)

_NOISE = re.compile(r"^\s*$|level=warning|^ (?:Container|Network|Volume|Image) ")


def classify(text: str, code: str, message: str, hint: str) -> StackError:
    """Return the error that `text` reports; if it is unknown, the given one. The text's last lines are its output."""
    if (found := first_known(_KNOWN, text, re.IGNORECASE | re.DOTALL)) is not None:
        known, groups = found
        return StackError(known.code, known.message.format(*groups), known.hint, _tail(text))
    return StackError(code, message, hint, _tail(text))


def first_known(every: Sequence[Known], text: str, flags: int = 0) -> tuple[Known, tuple[str, ...]] | None:
    """Return the first whose expression is found in a text, with its groups."""
    for known in every:
        if (found := re.search(known.pattern, text, flags)) is not None:
            return known, tuple(group or "" for group in found.groups())
    return None


def of_start(text: str, images: Mapping[str, str], error: StackError) -> StackError:
    """Return the error of a `compose up`, with the image that is unavailable and the component that declares it."""
    if error.code != "image-unavailable":
        return error
    names = _named(_PULL, text, images)
    # A message of Docker itself names the image, if anything.
    names = names or [name for name, image in images.items() if re.search(rf"{re.escape(image)}(?![\w.:/-])", text)]
    which = ", ".join(f"{images[name]} of {name}" for name in names)
    return _saying(error, f"{error.message}: {which}") if which else error


def of_build(text: str, built: Collection[str], error: StackError) -> StackError:
    """Return the error of a `compose build`, with the component whose build failed and the base image it lacks."""
    # BuildKit prints no name if there is a single build.
    names = ", ".join(built if len(built) == 1 else _named(_TARGET, text, built))
    if not names:
        return error
    if error.code == "build-failed":
        return _saying(error, f"the image of {names} could not be built")
    if error.code == "image-unavailable":
        base = _BASE.search(text)
        return _saying(error, f"{error.message}: {base[1] + ', ' if base else ''}in the build of {names}")
    return error


# ` db Error manifest unknown`, of newer versions ` Image postgres:42 Error …`, which names no component.
_PULL = re.compile(r"^ *(\S+) Error ", re.MULTILINE)
# The last line of Compose, or the step that it shows above: ` > [web 2/2] RUN make:`.
_TARGET = re.compile(
    r"^(?:target | > \[)([^\s:]+)(?:: failed to solve| (?:internal|\d+/\d+|[\w-]+ \d+/\d+)\])", re.MULTILINE
)
_BASE = re.compile(r"failed to solve: (\S+): (?:failed to resolve source metadata|no match for platform)")


def _named(pattern: re.Pattern[str], text: str, components: Collection[str]) -> list[str]:
    return [name for name in dict.fromkeys(pattern.findall(text)) if name in components]


def _saying(error: StackError, message: str) -> StackError:
    return StackError(error.code, message, error.hint, error.output)


def client_missing() -> StackError:
    return StackError("docker-client", "there is no `docker` command on this machine", _INSTALL)


def daemon_silent(detail: str) -> StackError:
    return StackError(
        "docker-daemon",
        f"the Docker daemon does not answer: {detail}",
        "look with `docker version`; restart the daemon if that hangs too",
    )


def too_old(code: str, what: str, found: str, needed: str) -> StackError:
    return StackError(code, f"{what} {found or '(unknown)'} is too old; stackctl needs {needed} or newer", _INSTALL)


def version_of(text: str) -> tuple[int, ...]:
    """Parse `v2.40.3-desktop.1` or `2.40.3+ds1-3` as (2, 40, 3); anything else as ()."""
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text.strip())
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def _tail(text: str, lines: int = 15) -> str:
    return "\n".join([line.rstrip() for line in text.splitlines() if not _NOISE.search(line)][-lines:])
